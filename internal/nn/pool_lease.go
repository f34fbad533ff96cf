package nn

// Lease waits until the pool is the caller's alone; Release ends that. A lease is
// one step of a model, or one piece of loading one: those who share a pool take
// turns, in the order in which they came. Where nobody else wants the pool, both
// are one atomic operation.
func (p *Pool) Lease() {
	if p.leases.Add(1) > 1 {
		<-p.turn
	}
}

// Release hands the pool to the next who waits for it.
func (p *Pool) Release() {
	if p.leases.Add(-1) > 0 {
		p.turn <- struct{}{} // there is room: only the holder sends, and it has received the last one
	}
}
