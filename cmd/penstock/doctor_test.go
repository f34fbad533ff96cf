package main

import (
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// TestAdvice: each trait of a machine that costs speed is named, and a machine
// without any gets no advice.
func TestAdvice(t *testing.T) {
	good := examination{Tier: "avx512vnni", Best: "avx512vnni", Threads: 2, CPUs: 2, Cores: 2, Nodes: 1, Huge: "madvise", Free: 8 << 30,
		Plans: []planning{{Model: "m", Default: true, fit: fit{Weights: 1 << 30}}}}
	if got := good.advise(); len(got) > 0 {
		t.Errorf("a good machine is told %q", got)
	}
	for want, change := range map[string]func(e *examination){
		"PENSTOCK_CPU caps":       func(e *examination) { e.Tier = "avx2" },
		"portable kernels only":   func(e *examination) { e.Tier, e.Best = "generic", "generic" },
		"the memory has 2 nodes":  func(e *examination) { e.Nodes = 2 },
		"--threads 1, one a core": func(e *examination) { e.SMT, e.Cores = true, 1 },
		"quota of 1.5 CPUs":       func(e *examination) { e.Quota = 1.5 },
		"huge pages are off":      func(e *examination) { e.Huge = "never" },
		`governed by "powersave"`: func(e *examination) { e.Clock = "powersave" },
		"m would take up to":      func(e *examination) { e.Free = 1 << 20 },
		"penstock pull":           func(e *examination) { e.Plans = nil },
	} {
		e := good
		change(&e)
		if got := e.advise(); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestPlacement(t *testing.T) {
	for want, seats := range map[string][]cpu.Seat{
		"1 on one node, where the system puts them":      {{}},
		"2 on one node, where the system puts them":      {{}, {}},
		"2 on one node, each bound to a core":            {{CPUs: []int{0, 2}}, {CPUs: []int{1, 3}}},
		"3 on 2 nodes (1 2), bound to their node's CPUs": {{CPUs: []int{0, 1}}, {Node: 1, CPUs: []int{2, 3}}, {Node: 1, CPUs: []int{2, 3}}},
		"4 on 2 nodes (2 2), each bound to a core":       {{CPUs: []int{0, 4}}, {CPUs: []int{1, 5}}, {Node: 1, CPUs: []int{2, 6}}, {Node: 1, CPUs: []int{3, 7}}},
	} {
		if got := placement(seats); got != want {
			t.Errorf("%v: %q, want %q", seats, got, want)
		}
	}
}
