package kernel

import "fmt"

// BandPad is the multiple to which Band fills up what it gathers.
const BandPad = 16

// Sums are what Band adds up: exp((x-max)*scale) of all elements, and of those
// above its limits.
type Sums struct{ Total, AboveLo, AboveHi float32 }

// Peak returns the largest element of x, passing over NaN, and whether any is
// NaN. Of nothing the largest is -Inf.
func (s Set) Peak(x []float32) (max float32, nan bool) { return s.peak(x) }

// Mass is the sum of exp((x-max)*scale): what ExpSum returns, but it leaves x as
// it is.
func (s Set) Mass(x []float32, max, scale float32) float32 { return s.mass(x, max, scale) }

// Band sums exp((x-max)*scale), and writes the elements with lo < x <= hi to out
// in their order, n of them, and -Inf after them up to a multiple of BandPad. It
// reads x once. out has room for all of x and the filling; it may begin where x
// does, or before.
func (s Set) Band(out, x []float32, max, scale, lo, hi float32) (sums Sums, n int) {
	if room := BandRoom(len(x)); len(out) < room {
		panic(fmt.Sprintf("kernel: Band of %d values into %d, need %d", len(x), len(out), room))
	}
	sums, n = s.band(out, x, max, scale, lo, hi)
	for i := n; i < BandRoom(n); i++ {
		out[i] = negInf
	}
	return sums, n
}

// BandRoom is the room that n values and their filling take.
func BandRoom(n int) int { return (n + BandPad - 1) &^ (BandPad - 1) }
