package nn

import "sync/atomic"

// faults is the rows of a step in which a NaN or an infinity has come up. They are
// noticed where a row is looked at as a whole in any case: when it is normalised,
// and when queries, keys and values become integers. Everything else passes what
// is not finite on to one of these: a quantised block of activations takes it into
// its scale.
type faults struct {
	some atomic.Bool
	row  []atomic.Bool // [rows]
	rows []int32       // scratch of list
}

func newFaults(rows int) faults {
	return faults{row: make([]atomic.Bool, rows), rows: make([]int32, 0, rows)}
}

// add notes a row of the batch. Any worker may call it.
func (f *faults) add(row int) {
	f.row[row].Store(true)
	f.some.Store(true)
}

// list is the rows noted since clear, ascending; valid until the next call.
func (f *faults) list() []int32 {
	f.rows = f.rows[:0]
	if !f.some.Load() {
		return nil
	}
	for i := range f.row {
		if f.row[i].Load() {
			f.rows = append(f.rows, int32(i))
		}
	}
	return f.rows
}

func (f *faults) clear() {
	if !f.some.Load() {
		return
	}
	f.some.Store(false)
	for i := range f.row {
		f.row[i].Store(false)
	}
}
