package grammar

// Bytes estimates the memory that the grammar takes: its rules, its expressions,
// and the states and masks that its matchers have met.
func (g *Grammar) Bytes() int {
	n := g.set.Bytes() + 12*len(g.code) + 4*len(g.targets) + 4*len(g.dist)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range g.arenas {
		a.mu.Lock()
		n += a.used
		a.mu.Unlock()
	}
	return n
}
