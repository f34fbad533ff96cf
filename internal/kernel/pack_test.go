package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/quant"
)

// TestMulGuarded puts everything that a product touches between pages that
// can't be read or written.
func TestMulGuarded(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			for _, front := range []bool{false, true} {
				for _, cols := range []int{1, 2, 3, 5, 8, 15} {
					checkGuarded(t, s, typ, cols, front)
				}
			}
		}
	})
}

func checkGuarded(t *testing.T, s Set, typ quant.Type, cols int, front bool) {
	const rows, sentinel = 32, 12345
	k := formatOf(typ).unit * 3
	r := rand.New(rand.NewPCG(uint64(typ), uint64(cols)))
	pr := newProduct(t, r, s, typ, extent{rows, k, cols})
	want := pr.run(s, false, nil)

	src := guarded[byte](t, len(pr.src), front)
	copy(src, pr.src)
	m := *pr.m
	m.Data, m.Scales = guarded[byte](t, len(m.Data), front), guarded[byte](t, len(m.Scales), front)
	s.Pack(&m, 0, src, rows)

	p := NewPanels(k, cols, m.NeedsFloats())
	p.Data = guarded[byte](t, len(p.Data), front)
	p.X = guarded[float32](t, len(p.X), front)
	x := guarded[float32](t, k, front)
	for c := range cols {
		copy(x, pr.x[c*k:])
		s.Quantize(p, c, 0, x)
	}

	const ldy = rows + 3
	y := guarded[float32](t, (cols-1)*ldy+rows, front)
	for i := range y {
		y[i] = sentinel
	}
	s.Mul(&m, p, 0, m.Groups(), Output{Y: y, LD: ldy})
	for i, v := range y {
		w := float32(sentinel)
		if row := i % ldy; row < rows {
			w = want[i/ldy*rows+row]
		}
		if math.Float32bits(v) != math.Float32bits(w) {
			t.Fatalf("%v, %d columns: y[%d] = %v, want %v", typ, cols, i, v, w)
		}
	}
}

// TestPackParts: packing in parts, at the same time, gives the same bytes, and
// rows beyond the last stay zero.
func TestPackParts(t *testing.T) {
	for _, typ := range allTypes() {
		const rows, k = 16*7 + 5, 512
		r := rand.New(rand.NewPCG(uint64(typ), 11))
		pr := newProduct(t, r, Set{}, typ, extent{rows, k, 1})
		m, err := NewMatrix(typ, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		rowBytes := typ.RowBytes(k)
		var wg sync.WaitGroup
		for row := 0; row < rows; row += 32 {
			wg.Go(func() {
				n := min(32, rows-row)
				Set{}.Pack(m, row, pr.src[row*rowBytes:(row+n)*rowBytes], n)
			})
		}
		wg.Wait()
		if !bytes.Equal(m.Data, pr.m.Data) || !bytes.Equal(m.Scales, pr.m.Scales) {
			t.Errorf("%v: packing in parts differs", typ)
		}
		y := pr.run(Set{}, false, nil)
		for row := rows; row < len(y); row++ {
			if y[row] != 0 {
				t.Errorf("%v: padding row %d is %v", typ, row, y[row])
			}
		}
		if err := m.Free(); err != nil {
			t.Error(err)
		}
	}
}

func TestMatrixErrors(t *testing.T) {
	for _, c := range []struct {
		typ        quant.Type
		rows, cols int
	}{
		{quant.Q8_0, 16, 33}, {quant.Q4_K, 16, 128}, {quant.Q8_0, 0, 32}, {quant.Q8_0, 16, 0}, {quant.Q8_0, -1, 32},
		{quant.IQ1_S, 16, 256}, {quant.NVFP4, 16, 256}, {quant.Type(1000), 16, 256}, {quant.F32, 1 << 40, 32}, {quant.F32, 16, 1 << 40}, {quant.F32, math.MaxInt, math.MaxInt / 32 * 32},
	} {
		if _, err := NewMatrix(c.typ, c.rows, c.cols); err == nil {
			t.Errorf("NewMatrix(%v, %d, %d): no error", c.typ, c.rows, c.cols)
		}
		if _, err := PackedBytes(c.typ, c.rows, c.cols); err == nil {
			t.Errorf("PackedBytes(%v, %d, %d): no error", c.typ, c.rows, c.cols)
		}
	}
}

// TestPackedSize: packed weights are hardly larger than GGUF's, but for those that
// pack.go names.
func TestPackedSize(t *testing.T) {
	larger := map[quant.Type]float64{
		quant.IQ2_XXS: 1.61, quant.IQ2_XS: 1.44, quant.IQ2_S: 1.3, quant.IQ3_XXS: 1.41, quant.IQ3_S: 1.26, quant.TQ1_0: 1.23,
	}
	for _, typ := range allTypes() {
		n, err := PackedBytes(typ, 1024, 1024)
		if err != nil {
			t.Fatal(err)
		}
		if plain := 1024 * typ.RowBytes(1024); float64(n) > max(1.04, larger[typ])*float64(plain) {
			t.Errorf("%v: %d bytes packed, %d in GGUF", typ, n, plain)
		}
	}
}

// TestPanics: wrong lengths are caught before any assembly runs.
func TestPanics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	pr := newProduct(t, r, Set{}, quant.Q8_0, extent{32, 64, 3})
	fl := newProduct(t, r, Set{}, quant.F16, extent{32, 64, 3})
	s, y := New(255), make([]float32, 3*32)
	for name, f := range map[string]func(){
		"y too short":          func() { s.Mul(pr.m, pr.p, 0, 2, Output{Y: y[:95], LD: 32}) },
		"ldy too small":        func() { s.Mul(pr.m, pr.p, 0, 2, Output{Y: y, LD: 31}) },
		"ldy overflows":        func() { s.Mul(pr.m, pr.p, 0, 2, Output{Y: y, LD: 1 << 62}) },
		"ldy beyond y":         func() { s.Mul(pr.m, pr.p, 0, 2, Output{Y: y, LD: math.MaxInt}) },
		"negative ldy":         func() { s.Mul(pr.m, pr.p, 0, 2, Output{Y: y, LD: -32}) },
		"too many groups":      func() { s.Mul(pr.m, pr.p, 0, 3, Output{Y: y, LD: 32}) },
		"negative group":       func() { s.Mul(pr.m, pr.p, -1, 1, Output{Y: y, LD: 32}) },
		"other length":         func() { s.Mul(pr.m, NewPanels(32, 3, false), 0, 2, Output{Y: y, LD: 32}) },
		"no floats":            func() { s.Mul(fl.m, pr.p, 0, 2, Output{Y: y, LD: 32}) },
		"column out of range":  func() { s.Quantize(pr.p, 3, 0, make([]float32, 32)) },
		"segment out of range": func() { s.Quantize(pr.p, 0, 32, make([]float32, 64)) },
		"unaligned segment":    func() { s.Quantize(pr.p, 0, 16, make([]float32, 32)) },
		"too many columns":     func() { pr.p.Reset(4) },
		"unaligned length":     func() { NewPanels(33, 1, false) },
		"source too short":     func() { s.Pack(pr.m, 0, pr.src[1:], 32) },
		"unaligned row":        func() { s.Pack(pr.m, 8, pr.src[:16*68], 16) },
		"part of a group":      func() { s.Pack(pr.m, 0, pr.src[:8*68], 8) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	s.Mul(pr.m, pr.p, 1, 1, Output{}) // nothing to do
	pr.p.Reset(0)
	s.Mul(pr.m, pr.p, 0, 2, Output{})
}

func TestAlloc(t *testing.T) {
	for _, n := range []int{0, 1, 100, 4096, 1 << 20, 2 << 20, 5<<20 + 1} {
		b, err := Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != n {
			t.Fatalf("Alloc(%d): %d bytes", n, len(b))
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("Alloc(%d): byte %d is %d", n, i, b[i])
			}
			b[i] = 1
		}
		if err := Free(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Alloc(1 << 60); err == nil {
		t.Error("Alloc(1 << 60): no error")
	}
}

func BenchmarkPack(b *testing.B) {
	for _, typ := range allTypes() {
		b.Run(fmt.Sprint(typ), func(b *testing.B) {
			const rows, k = 1024, 1024
			r := rand.New(rand.NewPCG(1, 2))
			pr := newProduct(b, r, Set{}, typ, extent{rows, k, 1})
			s, best := benchTier(b), time.Hour
			for range b.N {
				start := time.Now()
				s.Pack(pr.m, 0, pr.src, rows)
				best = min(best, time.Since(start))
			}
			b.SetBytes(int64(len(pr.src)))
			b.ReportMetric(float64(len(pr.src))/best.Seconds()/1e9, "GB/s-best")
		})
	}
}

func TestArena(t *testing.T) {
	var a Arena
	r := rand.New(rand.NewPCG(4, 4))
	var ms []*Matrix
	var srcs [][]byte
	const rows, k = 1008, 1024
	for i := range 5 * len(allTypes()) { // more than one chunk
		typ := allTypes()[i%len(allTypes())]
		m, err := a.Matrix(typ, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		if i < len(allTypes()) {
			srcs = append(srcs, randomWeights(r, typ, rows, k))
		}
		ms = append(ms, m)
		Set{}.Pack(m, 0, srcs[i%len(srcs)], rows)
	}
	if len(a.chunks) < 2 {
		t.Errorf("%d chunks", len(a.chunks))
	}
	for i, m := range ms {
		alone, err := NewMatrix(m.Type, rows, k)
		if err != nil {
			t.Fatal(err)
		}
		Set{}.Pack(alone, 0, srcs[i%len(srcs)], rows)
		if !bytes.Equal(alone.Data, m.Data) || !bytes.Equal(alone.Scales, m.Scales) {
			t.Fatalf("matrix %d has other bytes than alone", i)
		}
		if err := alone.Free(); err != nil {
			t.Fatal(err)
		}
		if err := m.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Matrix(quant.Q8_0, 16, 33); err == nil {
		t.Error("33 columns: no error")
	}
	if err := a.Free(); err != nil {
		t.Fatal(err)
	}
}
