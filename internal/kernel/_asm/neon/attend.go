package main

import (
	"fmt"
	"math"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// The attention kernels take one block of keys, or one group of two blocks of values,
// and 1, 2 or 4 queries: four queries by 16 tokens, or by 16 elements of a value, are 16
// sums. Package kernel loops over blocks and queries. Rows of q, s and o are rowBytes
// apart, whatever the head size.

const rowBytes = 1024 // MaxHeadDim and attendChunk floats

// attention emits the functions for all types of the cache.
func attention(k *vector) {
	for _, small := range []bool{false, true} {
		k.scoresInt(small)
		k.valuesInt(small)
	}
	k.scoresF16()
	k.valuesF16()
	k.grid()
}

// grid emits the integers of the weights of a group, times their values' scales.
func (k *vector) grid() {
	const (
		weights, ints, scales0, scales1 a64.R = 0, 1, 2, 3
		w, scale, sum, c                a64.V = 0, 8, 16, 20
	)
	k.FloatFunction("attendGridNEON", "makes 32 integers of weights times scales and returns what they are multiples of.", "w", "ints", "scales0", "scales1")
	k.pointers("w", "ints", "scales0", "scales1")
	k.loads(w, weights)
	k.Op("ADD $64, R%d", weights)
	k.loads(w+step, weights)
	k.loads(scale, scales0)
	k.loads(scale+step, scales1)
	for i := range a64.V(2 * step) {
		k.Fmul(w+i, w+i, scale+i)
	}
	each(func(i a64.V) { k.Fadd(sum+i, w+i, w+step+i) })
	k.total(sum)
	k.Dup(sum, sum, 0)
	k.Constant(c, tmp, math.Float32bits(1e-30))
	k.MaxNumber(sum, sum, c)
	k.Constant(c, tmp, math.Float32bits(32700))
	k.Fdiv(c, c, sum)
	for i := range a64.V(2 * step) {
		k.Fmul(w+i, w+i, c)
		k.ToInt(w+i, w+i)
		k.Narrow(scale+i/2, w+i, i%2 == 1)
	}
	k.stores(scale, ints)
	k.Constant(c, tmp, math.Float32bits(1.0/32700))
	k.Fmul(sum, sum, c)
	k.Return(sum)
}

// perQueries emits body for 1, 2 and 4 queries, and the choice by the argument n.
func (k *vector) perQueries(body func(n int, label string)) {
	counts := []int{4, 2, 1}
	k.Arg("n", tmp)
	for _, n := range counts[:2] {
		k.Op("CMP $%d, R%d", n, tmp)
		k.Op("BEQ queries%d", n)
	}
	for i := len(counts) - 1; i >= 0; i-- {
		label := fmt.Sprintf("queries%d", counts[i])
		k.Label(label)
		body(counts[i], label)
		k.Op("RET")
	}
}

// words loads 16 pairs of integers from r on and moves r behind them: to v and v+1 the
// first ones of pairs 0 to 7 and their second ones, to v+2 and v+3 those of the others.
// small integers are bytes; four registers from t on are lost for them.
func (k *vector) words(v a64.V, r a64.R, small bool, t a64.V) {
	if !small {
		k.LoadPairs(v, r)
		k.LoadPairs(v+2, r)
		return
	}
	k.LoadPair(v, r, 0)
	k.Op("ADD $32, R%d", r)
	for i := range a64.V(2) {
		k.SignedBytes(t+2*i, v+i)
		k.UpperSignedBytes(t+2*i+1, v+i)
	}
	for i := range a64.V(2) {
		k.UnzipWords(v+2*i, t+2*i, t+2*i+1, false)
		k.UnzipWords(v+2*i+1, t+2*i, t+2*i+1, true)
	}
}

// pair adds the products of 16 pairs, as words loads them, with the pair of a query
// that are words 2i and 2i+1 of q, to four sums.
func (k *vector) pair(sums, v, q a64.V, i int) {
	for half := range a64.V(2) {
		for second := range a64.V(2) {
			for upper := range a64.V(2) {
				k.WordsBy(sums+2*half+upper, v+2*half+second, q, 2*i+int(second), upper == 1)
			}
		}
	}
}

// scoresInt emits s[i][t] = Σ q'k' · (scale of k · scale of q) for a block. K is
// [hd/2][16][2]: the integers of eight queries' pairs are in registers 0 to 3 at a time.
func (k *vector) scoresInt(small bool) {
	const (
		q, s, keys, left, scales a64.R = 0, 1, 2, 3, 4
		at                       a64.R = 5
		sums, x, t, factor       a64.V = 16, 4, 8, 12
	)
	k.Function("attendScores"+suffix(small)+"NEON", "fills the scores of n queries, 1, 2 or 4, against a block; hd is a multiple of 16.",
		"n", "q", "s", "k", "hd", "scales")
	k.perQueries(func(n int, label string) {
		for i, name := range []string{"q", "s", "k", "hd", "scales"} {
			k.Arg(name, a64.R(i))
		}
		for i := range a64.V(4) * a64.V(n) {
			k.Zero(sums + i)
		}
		k.Label(label + "_elements") // eight of each query
		for i := range n {
			k.Load(a64.V(i), q, rowBytes*i)
		}
		for p := range 4 {
			k.words(x, keys, small, t)
			for i := range n {
				k.pair(sums+4*a64.V(i), x, a64.V(i), p)
			}
		}
		k.Op("ADD $16, R%d", q)
		k.Op("SUBS $8, R%d, R%d", left, left)
		k.Op("BNE %s_elements", label)
		k.loads(x, keys) // the keys' scales lie behind them
		for i := range n {
			k.Op("ADD $%d, R%d, R%d", 4*i, scales, at)
			k.Repeat(factor, at)
			for j := range a64.V(4) {
				sum := sums + 4*a64.V(i) + j
				k.Float(sum, sum)
				k.Fmul(t+j, x+j, factor)
				k.Fmul(sum, sum, t+j)
			}
			k.Op("ADD $%d, R%d, R%d", rowBytes*i, s, at)
			k.stores(sums+4*a64.V(i), at)
		}
	})
}

func suffix(small bool) string {
	if small {
		return "I8"
	}
	return "I16"
}

// valuesInt emits o_i += Σ_t w'v' · grid_i for a group of two blocks. V is [8][hd][2],
// the pairs of neighbouring tokens; 16 elements are taken at a time, over all pairs.
func (k *vector) valuesInt(small bool) {
	const (
		w, o, v0, v1, left, grid        a64.R = 0, 1, 2, 3, 4, 5
		block, pitch, pairs, weight, at a64.R = 6, 7, 8, 9, 10
		sums, x, t, factor              a64.V = 16, 4, 8, 12
	)
	bytes := 4
	if small {
		bytes = 2
	}
	k.Function("attendValues"+suffix(small)+"NEON", "adds the weighted values of a group to n outputs, 1, 2 or 4; hd is a multiple of 16.",
		"n", "w", "o", "v0", "v1", "hd", "grid")
	k.perQueries(func(n int, label string) {
		for i, name := range []string{"w", "o", "v0", "v1", "hd", "grid"} {
			k.Arg(name, a64.R(i))
		}
		k.Op("MOVD $%d, R%d", bytes, at)
		k.Op("MUL R%d, R%d, R%d", at, left, pitch)
		k.Label(label + "_columns")
		for i := range a64.V(4) * a64.V(n) {
			k.Zero(sums + i)
		}
		k.Op("MOVD R%d, R%d", w, weight)
		for b, start := range []a64.R{v0, v1} {
			next := fmt.Sprintf("%s_pairs%d", label, b)
			k.Op("MOVD R%d, R%d", start, block)
			k.Op("MOVD $2, R%d", pairs) // fours of them
			k.Label(next)
			for i := range n { // the weights of four pairs
				k.Load(a64.V(i), weight, rowBytes*i)
			}
			for p := range 4 {
				k.Op("MOVD R%d, R%d", block, at)
				k.words(x, at, small, t)
				k.Op("ADD R%d, R%d", pitch, block)
				for i := range n {
					k.pair(sums+4*a64.V(i), x, a64.V(i), p)
				}
			}
			k.Op("ADD $16, R%d", weight)
			k.Op("SUBS $1, R%d, R%d", pairs, pairs)
			k.Op("BNE %s", next)
		}
		for i := range n {
			k.Op("ADD $%d, R%d, R%d", 4*i, grid, at)
			k.Repeat(factor, at)
			k.Op("ADD $%d, R%d, R%d", rowBytes*i, o, at)
			k.loads(x, at)
			for j := range a64.V(4) {
				sum := sums + 4*a64.V(i) + j
				k.Float(sum, sum)
				k.Fmla(x+j, sum, factor)
			}
			k.stores(x, at)
		}
		k.Op("ADD $%d, R%d", 16*bytes, v0)
		k.Op("ADD $%d, R%d", 16*bytes, v1)
		k.Op("ADD $64, R%d", o)
		k.Op("SUBS $16, R%d, R%d", left, left)
		k.Op("BNE %s_columns", label)
	})
}

// widened loads 16 halves from r on, as floats, to v and the next three.
func (k *vector) widened(v a64.V, r a64.R, disp int) {
	k.LoadPair(v+2, r, disp)
	k.Halves(v, v+2, false)
	k.Halves(v+1, v+2, true)
	k.Halves(v+2, v+3, false)
	k.Halves(v+3, v+3, true)
}

// scoresF16 emits s[i][t] = q_i·k_t for a block. K is [hd][16] halves.
func (k *vector) scoresF16() {
	const (
		q, s, keys, left, at a64.R = 0, 1, 2, 3, 4
		sums, x              a64.V = 16, 4
	)
	k.Function("attendScoresF16NEON", "fills the scores of n queries, 1, 2 or 4, against a block; hd is a multiple of 16.", "n", "q", "s", "k", "hd")
	k.perQueries(func(n int, label string) {
		for i, name := range []string{"q", "s", "k", "hd"} {
			k.Arg(name, a64.R(i))
		}
		for i := range a64.V(4) * a64.V(n) {
			k.Zero(sums + i)
		}
		k.Label(label + "_elements")
		for i := range n {
			k.Load(a64.V(i), q, rowBytes*i)
		}
		for e := range 4 {
			k.widened(x, keys, 32*e)
			for i := range n {
				each(func(j a64.V) { k.FmlaBy(sums+4*a64.V(i)+j, x+j, a64.V(i), e) })
			}
		}
		k.Op("ADD $128, R%d", keys)
		k.Op("ADD $16, R%d", q)
		k.Op("SUBS $4, R%d, R%d", left, left)
		k.Op("BNE %s_elements", label)
		for i := range n {
			k.Op("ADD $%d, R%d, R%d", rowBytes*i, s, at)
			k.stores(sums+4*a64.V(i), at)
		}
	})
}

// valuesF16 emits o_i += Σ_t w_i[t] v_t for a block. V is [16][hd] halves.
func (k *vector) valuesF16() {
	const (
		w, o, values, left              a64.R = 0, 1, 2, 3
		block, pitch, fours, weight, at a64.R = 4, 5, 6, 7, 8
		sums, x                         a64.V = 16, 4
	)
	k.Function("attendValuesF16NEON", "adds the weighted values of a block to n outputs, 1, 2 or 4; hd is a multiple of 16.", "n", "w", "o", "v", "hd")
	k.perQueries(func(n int, label string) {
		for i, name := range []string{"w", "o", "v", "hd"} {
			k.Arg(name, a64.R(i))
		}
		k.Op("LSL $1, R%d, R%d", left, pitch)
		k.Label(label + "_columns")
		for i := range n {
			k.Op("ADD $%d, R%d, R%d", rowBytes*i, o, at)
			k.loads(sums+4*a64.V(i), at)
		}
		k.Op("MOVD R%d, R%d", w, weight)
		k.Op("MOVD R%d, R%d", values, block)
		k.Op("MOVD $4, R%d", fours)
		k.Label(label + "_tokens")
		for i := range n {
			k.Load(a64.V(i), weight, rowBytes*i)
		}
		for e := range 4 {
			k.widened(x, block, 0)
			k.Op("ADD R%d, R%d", pitch, block)
			for i := range n {
				each(func(j a64.V) { k.FmlaBy(sums+4*a64.V(i)+j, x+j, a64.V(i), e) })
			}
		}
		k.Op("ADD $16, R%d", weight)
		k.Op("SUBS $1, R%d, R%d", fours, fours)
		k.Op("BNE %s_tokens", label)
		for i := range n {
			k.Op("ADD $%d, R%d, R%d", rowBytes*i, o, at)
			k.stores(sums+4*a64.V(i), at)
		}
		k.Op("ADD $32, R%d", values)
		k.Op("ADD $64, R%d", o)
		k.Op("SUBS $16, R%d, R%d", left, left)
		k.Op("BNE %s_columns", label)
	})
}
