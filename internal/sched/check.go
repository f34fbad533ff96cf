package sched

import (
	"fmt"
	"slices"
)

// check panics if the books do not balance.
func (s *Scheduler) check() {
	for _, seq := range s.running {
		s.checkTables(seq)
	}
	held := s.count(s.blocks.total(), func(seq *Seq) []int32 { return seq.blocks })
	for _, p := range s.reserved {
		held[p.Block]++
	}
	if err := s.blocks.check(held); err != nil {
		panic("sched: " + err.Error())
	}
	if s.windows == nil {
		return
	}
	held = s.count(s.windows.total(), func(seq *Seq) []int32 { return seq.windows[seq.passed:] })
	for _, p := range s.reserved {
		if p.Window != none {
			held[p.Window]++
		}
	}
	if err := s.windows.check(held, func(i int32) bool { return s.blocks.id[i] != 0 }); err != nil {
		panic("sched: " + err.Error())
	}
}

// checkTables panics if a sequence lacks a block that it has computed.
func (s *Scheduler) checkTables(seq *Seq) {
	if len(seq.blocks) < s.blocksFor(seq.computed) {
		panic(fmt.Sprintf("sched: %d blocks for %d computed tokens", len(seq.blocks), seq.computed))
	}
	if s.windows == nil {
		return
	}
	if held := len(seq.windows) - seq.passed; len(seq.windows) != len(seq.blocks) || seq.passed > s.windows.first(seq.computed) || !seq.planned && !seq.stream && held > s.windows.most(len(seq.blocks)) {
		panic(fmt.Sprintf("sched: %d window blocks from %d on for %d blocks and %d computed tokens", len(seq.windows), seq.passed, len(seq.blocks), seq.computed))
	}
}

// count is the number of sequences that list each of n blocks.
func (s *Scheduler) count(n int, table func(*Seq) []int32) []int32 {
	s.held = slices.Grow(s.held[:0], n)[:n]
	clear(s.held)
	add := func(seq *Seq) {
		for _, b := range table(seq) {
			s.held[b]++
		}
	}
	for _, seq := range s.running {
		add(seq)
	}
	for i := range s.plan.Entries {
		if seq := s.plan.Entries[i].Seq; seq.closing {
			add(seq)
		}
	}
	return s.held
}
