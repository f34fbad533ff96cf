package nn

import (
	"math"
	"testing"
)

func TestRopeTablesAreExact(t *testing.T) {
	const limit = 131072
	for _, base := range []float64{1e4, 5e5, 1e6} {
		r, err := NewRope(RopeConfig{Dim: 128, Base: base}, limit)
		if err != nil {
			t.Fatal(err)
		}
		cos, sin := make([]float32, 64), make([]float32, 64)
		for _, pos := range []int32{0, 1, 127, 128, 129, 4095, 70001, limit - 1} {
			r.Fill(cos, sin, pos)
			for i := range cos {
				s, c := math.Sincos(float64(pos) * math.Pow(base, -float64(i)/64))
				if math.Abs(float64(cos[i])-c) > 1e-7 || math.Abs(float64(sin[i])-s) > 1e-7 {
					t.Fatalf("base %g position %d pair %d: (%v, %v), want (%v, %v)", base, pos, i, cos[i], sin[i], c, s)
				}
			}
		}
	}
}

func TestRopeScaling(t *testing.T) {
	cos, sin := make([]float32, 32), make([]float32, 32)
	angle := func(c RopeConfig, pos int32, pair int) float64 {
		t.Helper()
		c.Dim, c.Base = 64, 1e4
		r, err := NewRope(c, 65536)
		if err != nil {
			t.Fatal(err)
		}
		r.Fill(cos, sin, pos)
		return math.Atan2(float64(sin[pair]), float64(cos[pair]))
	}
	factors := make([]float32, 32)
	for i := range factors {
		factors[i] = 4
	}
	last := math.Pow(1e4, -62.0/64)
	for _, c := range []struct {
		name      string
		config    RopeConfig
		pair      int
		perPos    float64
		magnitude float64
	}{
		{"linear", RopeConfig{Scale: 0.25}, 31, last / 4, 1},
		{"factors", RopeConfig{Factors: factors}, 31, last / 4, 1},
		{"yarn keeps the fastest pair", RopeConfig{YaRN: true, Scale: 0.25, Original: 4096}, 0, 1, 1 + 0.1*math.Log(4)},
		{"yarn scales the slowest pair", RopeConfig{YaRN: true, Scale: 0.25, Original: 4096}, 31, last / 4, 1 + 0.1*math.Log(4)},
	} {
		if got := angle(c.config, 2, c.pair); math.Abs(got-2*c.perPos) > 1e-6 {
			t.Errorf("%s: angle %v at position 2, want %v", c.name, got, 2*c.perPos)
		}
		if m := math.Hypot(float64(cos[c.pair]), float64(sin[c.pair])); math.Abs(m-c.magnitude) > 1e-6 {
			t.Errorf("%s: magnitude %v, want %v", c.name, m, c.magnitude)
		}
	}
}

func TestRopeRefusesNonsense(t *testing.T) {
	for _, c := range []RopeConfig{
		{Dim: 0, Base: 1e4}, {Dim: 3, Base: 1e4}, {Dim: 8, Base: 0}, {Dim: 8, Base: math.NaN()},
		{Dim: 8, Base: math.Inf(1)}, {Dim: 8, Base: 1e4, Factors: make([]float32, 4)}, {Dim: 8, Base: 1e4, Factors: make([]float32, 3)},
	} {
		if _, err := NewRope(c, 16); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
