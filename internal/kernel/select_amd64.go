//go:build amd64 && !purego

package kernel

import (
	"math/bits"

	"github.com/penstock-llm/penstock/internal/cpu"
)

//go:generate go run -C _asm ./select -out ../select_amd64.s -stubs ../select_stubs_amd64.go -pkg kernel

const maskGroup = 64 // values under one mask of selectAbove

// sift offers x[from:] to the heap. The assembly finds the next values above the
// heap's root. Each of them that enters the heap may raise the root, so the values
// after it are compared with the root again.
func (s Set) sift(h heap, x []float32, from int) {
	for s.tier != cpu.Generic && len(x)-from >= maskGroup {
		var skipped int
		var mask uint64
		groups := (len(x) - from) / maskGroup
		if s.tier == cpu.AVX512VNNI {
			skipped, mask = selectAboveAVX512(&x[from], groups, h.vals[0])
		} else {
			skipped, mask = selectAboveAVX2(&x[from], groups, h.vals[0])
		}
		from += skipped * maskGroup
		if mask == 0 {
			break
		}
		for ; mask != 0; mask &= mask - 1 {
			if i := from + bits.TrailingZeros64(mask); x[i] > h.vals[0] {
				h.replace(x[i], i)
			}
		}
		from += maskGroup
	}
	siftGeneric(h, x, from)
}

func (s Set) peak(x []float32) (top float32, nan bool) {
	n, done := s.registers(len(x))
	top, nan = peakGeneric(x[done:])
	m, squares := negInf, float32(0)
	switch s.tier {
	case cpu.AVX512VNNI:
		m, squares = selectPeakAVX512(ptr(x), n)
	case cpu.AVX2:
		m, squares = selectPeakAVX2(ptr(x), n)
	}
	return max(top, m), nan || squares != squares
}

func (s Set) band(out, x []float32, b Band) (sums Sums, n int) {
	if s.tier == cpu.Generic {
		return bandGeneric(out, x, b)
	}
	for len(x) > 0 {
		part := x[:min(len(x), expCall)]
		regs, done := s.registers(len(part))
		var t, l, h float32
		var count int
		if s.tier == cpu.AVX512VNNI {
			t, l, h, count = selectBandAVX512(ptr(out[n:]), ptr(part), regs, b.Max, b.Scale, b.Lo, b.Hi)
		} else {
			t, l, h, count = selectBandAVX2(ptr(out[n:]), ptr(part), regs, b.Max, b.Scale, b.Lo, b.Hi)
		}
		rest, m := bandGeneric(out[n+count:], part[done:], b)
		sums.Total += t + rest.Total
		sums.AboveLo += l + rest.AboveLo
		sums.AboveHi += h + rest.AboveHi
		n += count + m
		x = x[len(part):]
	}
	return sums, n
}
