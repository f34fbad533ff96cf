package kernel

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// TestPackGroups: a tier packs groups as the packers of single rows do.
func TestPackGroups(t *testing.T) {
	forEachTier(t, func(t *testing.T, s Set) {
		for _, typ := range allTypes() {
			const rows = 3*Lanes + 5
			k := 3 * formatOf(typ).unit
			src := randomWeights(rand.New(rand.NewPCG(uint64(typ), 17)), typ, rows, k)
			want, got := emptyMatrix(t, typ, rows, k), emptyMatrix(t, typ, rows, k)
			want.packRows(0, src, rows)
			s.Pack(got, 0, src, rows)
			for _, c := range []struct {
				what      string
				got, want []byte
			}{{"quants", got.Data, want.Data}, {"scales", got.Scales, want.Scales}} {
				if at := otherByte(c.got, c.want); at >= 0 {
					t.Errorf("%v: byte %d of the %s is %#x, the packer of rows has %#x", typ, at, c.what, c.got[at], c.want[at])
				}
			}
		}
	})
}

func emptyMatrix(t *testing.T, typ quant.Type, rows, cols int) *Matrix {
	t.Helper()
	m, err := NewMatrix(typ, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Free(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// otherByte is where a and b, of the same length, differ; -1: nowhere.
func otherByte(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}
