package kernel

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuantizeTiersAgree: every tier writes the bytes of the specification,
// for ordinary, tiny, huge and broken activations.
func TestQuantizeTiersAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	column := func(k int) []float32 {
		x := make([]float32, k)
		for b := 0; b < k; b += BlockLen {
			scale := float32(math.Pow(10, float64(r.IntN(80)-42)))
			for i := range BlockLen {
				x[b+i] = float32(r.NormFloat64()) * scale
			}
			switch r.IntN(12) {
			case 0:
				clear(x[b : b+BlockLen])
			case 1:
				x[b+r.IntN(BlockLen)] = nan
			case 2:
				x[b+r.IntN(BlockLen)] = -inf
			case 3: // values half way between integers
				for i := range BlockLen {
					x[b+i] = float32(r.IntN(255)-127) + 0.5
				}
				x[b] = 127
			}
		}
		return x
	}
	forEachTier(t, func(t *testing.T, s Set) {
		for _, k := range []int{32, 96, 576, 1024} {
			for _, cols := range []int{1, 2, 11, 24} {
				got, together, want := NewPanels(k, cols, false), NewPanels(k, cols, true), NewPanels(k, cols, true)
				ld := k + 5
				x := make([]float32, cols*ld)
				half := k / 64 * 32
				for c := range cols {
					col := x[c*ld:][:k]
					copy(col, column(k))
					s.Quantize(got, c, 0, col[:half])
					s.Quantize(got, c, half, col[half:])
					Set{}.Quantize(want, c, 0, col)
				}
				some := cols / 3 // columns in two parts, one of them across panels
				s.QuantizeColumns(together, 0, 0, &Columns{x, some, ld, k})
				s.QuantizeColumns(together, some, 0, &Columns{x[some*ld:], cols - some, ld, half})
				s.QuantizeColumns(together, some, half, &Columns{x[some*ld+half:], cols - some, ld, k - half})
				if !bytes.Equal(got.Data, want.Data) {
					t.Fatalf("k %d, %d columns: bytes differ", k, cols)
				}
				if !bytes.Equal(together.Data, want.Data) || !sameBits(together.X, want.X) {
					t.Fatalf("k %d, %d columns together: bytes differ", k, cols)
				}
			}
		}
	})
}

// TestQuantizeValues checks the specification itself.
func TestQuantizeValues(t *testing.T) {
	var q [BlockLen]int8
	var x [BlockLen]float32
	x[0], x[1], x[2], x[3], x[31] = -254, 1, 3, -5, 127 // halves of 2
	if dx := quantizeBlock(&q, &x); dx != 2 {
		t.Errorf("scale %v, want 2", dx)
	}
	if want := [...]int8{-127, 0, 2, -2, 0}; [5]int8(q[:5]) != want || q[31] != 64 {
		t.Errorf("values %v %v, want %v and 64", q[:5], q[31], want)
	}
	x = [BlockLen]float32{}
	if dx := quantizeBlock(&q, &x); !(dx > 0) || q != [BlockLen]int8{} {
		t.Errorf("zeros: scale %v, values %v", dx, q)
	}
	x[7] = float32(math.Inf(-1))
	if dx := quantizeBlock(&q, &x); !math.IsInf(float64(dx), 1) || q != [BlockLen]int8{} {
		t.Errorf("infinity: scale %v, values %v", dx, q)
	}
	x[9] = float32(math.NaN())
	if dx := quantizeBlock(&q, &x); dx == dx || q != [BlockLen]int8{} {
		t.Errorf("NaN: scale %v, values %v", dx, q)
	}
}

// TestMulNaN: a broken activation spoils its column and no other.
func TestMulNaN(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			pr := newProduct(t, rand.New(rand.NewPCG(5, 6)), s, typ, extent{16, 512, 3})
			pr.x[512+300] = float32(math.NaN())
			s.Quantize(pr.p, 1, 0, pr.x[512:1024])
			for i, v := range pr.run(s, false, nil) {
				if isNaN := v != v; isNaN != (i/16 == 1) {
					t.Fatalf("%v: column %d, row %d is %v", typ, i/16, i%16, v)
				}
			}
		}
	})
}

func BenchmarkQuantize(b *testing.B) {
	for _, cols := range []int{1, 8} {
		b.Run([]string{1: "width=1", 8: "width=8"}[cols], func(b *testing.B) {
			s, p, x := benchTier(b), NewPanels(1024, cols, false), make([]float32, cols*1024)
			for i := range x {
				x[i] = float32(i%77) - 30
			}
			sampled(b, 1, func(int) { s.QuantizeColumns(p, 0, 0, &Columns{x, cols, 1024, 1024}) }, map[string]float64{"GB/s": float64(4096 * cols)})
		})
	}
}

// A gathered column has the bits of its source, wherever both lie.
func TestGather(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	set := New(Tiers()[0])
	for _, floats := range []bool{false, true} {
		for range 30 {
			const k = 96
			rows := 1 + rng.IntN(20)
			src, all := NewPanels(k, rows, floats), NewPanels(k, 40, floats)
			x := make([]float32, rows*k)
			for i := range x {
				x[i] = float32(rng.NormFloat64())
			}
			set.QuantizeColumns(src, 0, 0, &Columns{X: x, N: rows, LD: k, Len: k})
			first, cols := rng.IntN(20), make([]int32, 1+rng.IntN(20))
			want := NewPanels(k, len(cols), floats)
			for i := range cols {
				cols[i] = int32(rng.IntN(rows))
				set.Quantize(want, i, 0, x[int(cols[i])*k:][:k])
			}
			var dst Panels
			all.Part(&dst, first, len(cols))
			Gather(&dst, src, cols)
			if !bytes.Equal(dst.Data, want.Data) || !slices.Equal(dst.X, want.X) {
				t.Fatalf("columns %v of %d differ", cols, rows)
			}
		}
	}
}

// BenchmarkGather: what the experts of a prompt of 256 rows take of it, 8 each of 128.
func BenchmarkGather(b *testing.B) {
	const k, rows, used, experts = 2048, 256, 8, 128
	s, src, all := benchTier(b), NewPanels(k, rows, false), NewPanels(k, rows*used, false)
	x := make([]float32, rows*k)
	for i := range x {
		x[i] = float32(i%77) - 30
	}
	s.QuantizeColumns(src, 0, 0, &Columns{x, rows, k, k})
	rng := rand.New(rand.NewPCG(5, 6))
	of := make([][]int32, experts)
	for row := range rows {
		for _, e := range rng.Perm(experts)[:used] {
			of[e] = append(of[e], int32(row))
		}
	}
	sampled(b, 1, func(int) {
		first := 0
		for _, cols := range of {
			var part Panels
			all.Part(&part, first, len(cols))
			Gather(&part, src, cols)
			first += len(cols)
		}
	}, map[string]float64{"GB/s": float64(rows * used * k / BlockLen * columnBytes)})
}
