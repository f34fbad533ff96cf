package kernel

import "fmt"

// BandPad is the multiple to which Band fills up what it gathers.
const BandPad = 16

// Band is the values in (Lo, Hi], and the scale on which all values are weighed:
// x counts as exp((x-Max)*Scale).
type Band struct{ Max, Scale, Lo, Hi float32 }

// Sums are the weights of all values, and of those above a band's limits.
type Sums struct{ Total, AboveLo, AboveHi float32 }

// Peak returns the largest element of x, passing over NaN, and whether any is
// NaN. Of nothing the largest is -Inf.
func (s Set) Peak(x []float32) (max float32, nan bool) { return s.peak(x) }

// Mass is the sum of exp((x-max)*scale): what ExpSum returns, but it leaves x as
// it is.
func (s Set) Mass(x []float32, max, scale float32) float32 { return s.mass(x, max, scale) }

// Band sums the weights of x, and writes the values in the band to out in their
// order, n of them, and -Inf after them up to a multiple of BandPad. It reads x
// once. out has room for BandRoom(len(x)) values; it may begin where x does, or
// before.
func (s Set) Band(out, x []float32, b Band) (sums Sums, n int) {
	if room := BandRoom(len(x)); len(out) < room {
		panic(fmt.Sprintf("kernel: Band of %d values into %d, need %d", len(x), len(out), room))
	}
	sums, n = s.band(out, x, b)
	for i := n; i < BandRoom(n); i++ {
		out[i] = negInf
	}
	return sums, n
}

// BandRoom is the room that n values and their filling take.
func BandRoom(n int) int { return (n + BandPad - 1) &^ (BandPad - 1) }
