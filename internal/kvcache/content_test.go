package kvcache

import (
	"bytes"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/quant"
)

// A block's content comes back in another block of another store, and touches no other.
func TestCopyAndPaste(t *testing.T) {
	groups := [batch.Groups]Config{
		batch.Full:   {Layers: 3, KVHeads: 2, HeadDim: 32, Type: quant.I16},
		batch.Window: {Layers: 2, KVHeads: 1, HeadDim: 8, Type: quant.F32},
	}
	var stores [2]*Store
	for i, room := range []Room{{Blocks: 64, Windows: 33}, {Blocks: 33, Windows: 8}} {
		s, err := NewStore(groups, room)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	from, to := stores[0], stores[1]
	for g := batch.Full; g < batch.Groups; g++ {
		source, goal := from.Cache(g), to.Cache(g)
		for i := range source.mem {
			source.mem[i] = byte(i*7 + i/253)
		}
		if want, _ := BytesPerBlock(source.Config()); from.BlockBytes(g) != want {
			t.Errorf("group %d: %d bytes of a block, want %d", g, from.BlockBytes(g), want)
		}
		content := make([]byte, from.BlockBytes(g))
		from.Copy(content, g, 30)
		to.Paste(g, 7, content)
		count := 0
		for l := range groups[g].Layers {
			for h := range groups[g].KVHeads {
				for kind := range source.Config().kinds() {
					want, got := block(source, source.from(l, h, kind), 30), block(goal, goal.from(l, h, kind), 7)
					if !bytes.Equal(got, want) {
						t.Errorf("group %d layer %d head %d: %v, want %v", g, l, h, got[:8], want[:8])
					}
					clear(got)
					count += len(got)
				}
			}
		}
		for i, b := range goal.mem {
			if b != 0 {
				t.Fatalf("group %d: byte %d of another block is %d", g, i, b)
			}
		}
		if count != len(content) {
			t.Errorf("group %d: %d bytes, want %d", g, count, len(content))
		}
	}
	if only, err := NewStore([batch.Groups]Config{{Layers: 1, KVHeads: 1, HeadDim: 2, Type: quant.F16}}, Room{Blocks: 1}); err != nil || only.BlockBytes(batch.Window) != 0 {
		t.Errorf("a store without windows: %v", err)
	} else {
		only.Close()
	}
	for name, wrong := range map[string]func(){
		"size":  func() { from.Copy(make([]byte, 3), batch.Full, 0) },
		"block": func() { to.Paste(batch.Full, 33, make([]byte, to.BlockBytes(batch.Full))) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wrong()
		}()
	}
}
