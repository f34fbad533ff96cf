package kernel

import (
	"bytes"
	"fmt"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// The functions of this file compute nothing useful. They do the multiplications,
// or read the memory, of a kernel and nothing else, as fast as the machine can.
// The benchmark compares the kernels with them.

// DotCeiling does 8-bit dot products of registers with the tier's instructions
// and returns how many multiplications and additions those were: 0 on the
// generic tier, which has no such instructions. A round takes about 20 ns; the
// call can't be preempted.
func (s Set) DotCeiling(rounds int) (operations int) { return s.dotCeiling(rounds) }

// ReadPattern is a way to read memory. Which one is the fastest depends on the
// processor; the benchmark tries them all.
type ReadPattern struct {
	Tier     cpu.Tier // whose loads: avx512vnni 64 bytes, avx2 and dotprod 32 bytes, generic the standard library's loop
	Streams  int      // places read from in turns
	Prefetch bool     // ask for lines some time before they are loaded
}

func (p ReadPattern) String() string {
	ahead := ""
	if p.Prefetch {
		ahead = ", prefetched"
	}
	return fmt.Sprintf("%v, %d streams%s", p.Tier, p.Streams, ahead)
}

// ReadPatterns lists those that the tier can do.
func (s Set) ReadPatterns() []ReadPattern {
	all := []ReadPattern{{Tier: cpu.Generic, Streams: 1}}
	for _, tier := range available[1:] {
		if tier != tier.Base() || !s.tier.Includes(tier) {
			continue
		}
		for _, streams := range []int{1, 2, 4} {
			all = append(all, ReadPattern{tier, streams, false}, ReadPattern{tier, streams, true})
		}
	}
	return all
}

// readUnit is what the length of Read's memory is a multiple of.
const readUnit = 1024

// Read loads all of b, whose length is a multiple of 1024, and forgets it. The
// pattern is one of ReadPatterns.
func (s Set) Read(b []byte, p ReadPattern) {
	if len(b)%readUnit != 0 || !s.tier.Includes(p.Tier) {
		panic(fmt.Sprintf("kernel: Read of %d bytes, %v on tier %v", len(b), p, s.tier))
	}
	if p.Tier == cpu.Generic || len(b) == 0 {
		bytes.Count(b, []byte{1}) // a single byte: the library's vector loop
		return
	}
	s.read(b, p)
}
