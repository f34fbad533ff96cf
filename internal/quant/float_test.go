package quant

import (
	"math"
	"testing"
)

// wideHalf computes the value of h from its fields, in float64.
func wideHalf(h uint16) float64 {
	sign, exponent, mantissa := 1-2*float64(h>>15), int(h>>10&31), float64(h&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(mantissa, -24)
	case 31:
		if mantissa != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+mantissa, exponent-25)
}

func TestEveryF16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		got, want := F16ToF32(h), wideHalf(h)
		if math.IsNaN(want) {
			if got == got || F32ToF16(got)&0x7c00 != 0x7c00 || F32ToF16(got)&0x3ff == 0 {
				t.Fatalf("%#04x: NaN became %v, then %#04x", h, got, F32ToF16(got))
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != (h>>15 == 1) {
			t.Fatalf("%#04x: got %v, want %v", h, got, want)
		}
		if back := F32ToF16(got); back != h {
			t.Fatalf("%#04x: %v came back as %#04x", h, got, back)
		}
	}
}

// Between every two neighbouring halves: the midpoint goes to the even one, and
// the float32 next to the midpoint to its own side.
func TestF32ToF16RoundsToNearestEven(t *testing.T) {
	for i := range 0x7c00 {
		lo, hi := uint16(i), uint16(i+1)
		upper := wideHalf(hi)
		if hi == 0x7c00 {
			upper = 65536 // where the next half would be, were there one
		}
		mid := float32((wideHalf(lo) + upper) / 2)
		even := lo + lo&1
		for _, c := range []struct {
			f    float32
			want uint16
		}{
			{mid, even},
			{math.Nextafter32(mid, 0), lo},
			{math.Nextafter32(mid, float32(math.Inf(1))), hi},
		} {
			if got := F32ToF16(c.f); got != c.want {
				t.Fatalf("%v: got %#04x, want %#04x", c.f, got, c.want)
			}
			if got := F32ToF16(-c.f); got != c.want|0x8000 {
				t.Fatalf("%v: got %#04x, want %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
	if got := F32ToF16(float32(math.Inf(-1))); got != 0xfc00 {
		t.Errorf("-Inf: got %#04x", got)
	}
	if got := F32ToF16(math.MaxFloat32); got != 0x7c00 {
		t.Errorf("largest float32: got %#04x", got)
	}
}

func TestBF16(t *testing.T) {
	for i := range 1 << 16 {
		b := uint16(i)
		f := BF16ToF32(b)
		if f != f {
			if back := F32ToBF16(f); BF16ToF32(back) == BF16ToF32(back) {
				t.Fatalf("%#04x: NaN came back as %#04x", b, back)
			}
			continue
		}
		if back := F32ToBF16(f); back != b {
			t.Fatalf("%#04x: %v came back as %#04x", b, f, back)
		}
	}
	for _, c := range []struct {
		bits uint32
		want uint16
	}{
		{0x3f808000, 0x3f80}, // tie to even, down
		{0x3f818000, 0x3f82}, // tie to even, up
		{0x3f808001, 0x3f81},
		{0x3f807fff, 0x3f80},
		{0x7f7fffff, 0x7f80}, // rounds to infinity
		{0x7f800001, 0x7fc0}, // a NaN whose payload is in the lower half stays one
	} {
		if got := F32ToBF16(math.Float32frombits(c.bits)); got != c.want {
			t.Errorf("%#08x: got %#04x, want %#04x", c.bits, got, c.want)
		}
	}
}
