package kernel

import (
	"fmt"
	"math"
	"testing"
)

// headShapes are the heads that a kv head serves and their size: Qwen3 0.6B,
// SmolLM2 135M, Gemma 3 270M, Qwen2.5 1.5B.
var headShapes = []struct{ group, dim int }{{2, 128}, {3, 64}, {4, 256}, {6, 128}}

// benchHeads fills a cache for each of heads heads, with consecutive blocks.
func benchHeads(b *testing.B, s Set, heads int, of cached) (kvs []*KV, blocks []int32) {
	b.Helper()
	typ, dim, n := of.typ, of.hd, of.n
	stride, err := kvBlockBytes(typ, dim)
	if err != nil {
		b.Fatal(err)
	}
	count := (n + BlockTokens - 1) / BlockTokens
	rng := testRand()
	row := randomRow(rng, dim)
	for range heads {
		kv := &KV{Type: typ, HeadDim: dim, Stride: stride, K: make([]byte, count*stride), V: make([]byte, count*stride)}
		for i := range n {
			row[i%dim] = float32(rng.NormFloat64())
			s.StoreK(kv, int32(i/BlockTokens), i%BlockTokens, row)
			s.StoreV(kv, int32(i/BlockTokens), i%BlockTokens, row)
		}
		kvs = append(kvs, kv)
	}
	for i := range count {
		blocks = append(blocks, int32(i))
	}
	return kvs, blocks
}

func benchTile(n, dim int) *Tile {
	t := &Tile{N: n, HeadDim: dim, Scale: float32(1 / math.Sqrt(float64(dim)))}
	rng := testRand()
	for i := range n {
		t.Q[i], t.Out[i] = randomRow(rng, dim), make([]float32, dim)
	}
	return t
}

// BenchmarkAttendDecode is one new token of a sequence: a tile is a group of
// heads. "cold" goes round 64 MB of caches, so that every block comes from
// memory.
func BenchmarkAttendDecode(b *testing.B) {
	for _, tier := range Tiers() {
		for _, typ := range kvTypes {
			for _, shape := range headShapes {
				for _, ctx := range []int{128, 512, 2048} {
					for _, place := range []string{"warm", "cold"} {
						b.Run(fmt.Sprintf("%v/%v/G%d-hd%d/ctx%d/%s", tier, typ, shape.group, shape.dim, ctx, place), func(b *testing.B) {
							decode(b, New(tier), shape.group, cached{typ, shape.dim, ctx}, place == "cold")
						})
					}
				}
			}
		}
	}
}

func decode(b *testing.B, s Set, group int, of cached, cold bool) {
	typ, dim, ctx := of.typ, of.hd, of.n
	stride, err := kvBlockBytes(typ, dim)
	if err != nil {
		b.Fatal(err)
	}
	bytes := 2 * stride * ctx / BlockTokens
	heads := 1
	if cold {
		heads = 64<<20/bytes + 1
	}
	kvs, blocks := benchHeads(b, s, heads, of)
	t, scratch := benchTile(group, dim), make([]float32, AttendScratch)
	for i := range t.N {
		t.Len[i] = int32(ctx)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Attend(t, kvs[i%heads], blocks, scratch)
		i++
	}
}

// BenchmarkAttendPrefill is the causal attention of one kv head to a prompt of
// 512 tokens; GFLOPS count what the mask leaves.
func BenchmarkAttendPrefill(b *testing.B) {
	const prompt = 512
	for _, tier := range Tiers() {
		for _, typ := range kvTypes {
			for _, shape := range headShapes {
				b.Run(fmt.Sprintf("%v/%v/G%d-hd%d", tier, typ, shape.group, shape.dim), func(b *testing.B) {
					s := New(tier)
					kvs, blocks := benchHeads(b, s, 1, cached{typ, shape.dim, prompt})
					rows := TileQueries / shape.group
					t, scratch := benchTile(rows*shape.group, shape.dim), make([]float32, AttendScratch)
					for b.Loop() {
						for r := 0; r+rows <= prompt; r += rows {
							for i := range t.N {
								t.Len[i] = int32(r + i%rows + 1)
							}
							s.Attend(t, kvs[0], blocks, scratch)
						}
					}
					flops := 4 * float64(shape.dim*shape.group) * prompt * (prompt + 1) / 2
					b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOPS")
				})
			}
		}
	}
}
