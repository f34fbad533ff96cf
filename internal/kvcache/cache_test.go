package kvcache

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

// block is block b of a run's memory, as kernels find it.
func block(c *Cache, mem []byte, b int) []byte {
	return mem[(b/c.Run()*c.Pitch()+b%c.Run())*c.Stride():][:c.Stride()]
}

// Every block is zero, no two share a byte, and together they are the cache.
func TestLayout(t *testing.T) {
	for blocks, run := range map[int]int{1: 1, 5: 5, 32: 32, 33: 11, 37: 1, 64: 32, 100: 25} {
		cfg := Config{Layers: 3, KVHeads: 2, HeadDim: 64, Blocks: blocks, Type: quant.F16}
		c, err := newCache(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		per, err := BytesPerBlock(cfg)
		if err != nil || per*blocks != c.Bytes() {
			t.Fatalf("BytesPerBlock %d × %d blocks, cache has %d: %v", per, blocks, c.Bytes(), err)
		}
		if c.Run() != run {
			t.Errorf("%d blocks in runs of %d, want %d", blocks, c.Run(), run)
		}
		covered := 0
		each := func(do func(block []byte)) {
			for l := range cfg.Layers {
				for h := range cfg.KVHeads {
					for b := range blocks {
						do(block(c, c.Keys(l, h), b))
						do(block(c, c.Values(l, h), b))
					}
				}
			}
		}
		each(func(block []byte) {
			for i, b := range block {
				if b != 0 {
					t.Fatalf("%d blocks: byte %d of a block is %d, want 0", blocks, i, b)
				}
				block[i] = 1
				covered++
			}
		})
		if covered != c.Bytes() {
			t.Errorf("%d blocks have %d bytes of %d", blocks, covered, c.Bytes())
		}
	}
}

// A block that there is not is beyond the memory of every head.
func TestNoSuchBlock(t *testing.T) {
	c, err := newCache(Config{Layers: 2, KVHeads: 3, HeadDim: 32, Blocks: 96, Type: quant.I16})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for l := range 2 {
		for h := range 3 {
			if beyond := 96 / c.Run() * c.Pitch() * c.Stride(); beyond < len(c.Keys(l, h)) || beyond < len(c.Values(l, h)) {
				t.Errorf("layer %d head %d has a block 96", l, h)
			}
		}
	}
}

func TestDivisible(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 31: 31, 32: 32, 37: 36, 64: 64, 67: 66, 1000: 1000, 1009: 1008} {
		if got := Divisible(n); got != want {
			t.Errorf("Divisible(%d) = %d, want %d", n, got, want)
		}
	}
	for n := 1; n < 5000; n++ {
		if d := Divisible(n); d > n || n-d >= shortest || d > longest && runOf(d) < shortest {
			t.Errorf("Divisible(%d) = %d, runs of %d", n, d, runOf(d))
		}
	}
}

// Prepare goes through the memory that the blocks need, piece by piece, and
// leaves what is there.
func TestPrepare(t *testing.T) {
	c, err := newCache(Config{Layers: 4, KVHeads: 4, HeadDim: 128, Blocks: 128, Type: quant.I16})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	chunk := c.Pitch() * c.Stride()
	for i := range c.mem {
		c.mem[i] = byte(i % 251)
	}
	prepare := func(n, want int) {
		t.Helper()
		calls := 1
		for c.Prepare(n) {
			calls++
		}
		if c.prepared < want || c.prepared >= want+piece {
			t.Errorf("%d blocks: %d bytes prepared, want %d", n, c.prepared, want)
		}
		if most := len(c.mem)/piece + 1; calls > most {
			t.Errorf("%d blocks: %d calls, there are %d pieces", n, calls, most)
		}
	}
	if c.Prepare(0) || c.prepared != 0 {
		t.Errorf("no blocks: %d bytes prepared", c.prepared)
	}
	if !c.Prepare(1) || c.prepared != min(piece, len(c.mem)) {
		t.Errorf("one call prepared %d bytes", c.prepared)
	}
	prepare(1, chunk)
	prepare(32, chunk)
	prepare(33, 2*chunk)
	prepare(20, 2*chunk) // nothing is taken back
	prepare(1000, 4*chunk)
	if c.Prepare(128) || c.prepared != len(c.mem) {
		t.Errorf("%d of %d bytes prepared in the end", c.prepared, len(c.mem))
	}
	for i, b := range c.mem {
		if b != byte(i%251) {
			t.Fatalf("byte %d was changed", i)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Layers: 2, KVHeads: 2, HeadDim: 64, Blocks: 2, Type: quant.F16}
	for name, edit := range map[string]func(*Config){
		"no layers":   func(c *Config) { c.Layers = 0 },
		"negative":    func(c *Config) { c.Blocks = -1 },
		"odd head":    func(c *Config) { c.HeadDim = 63 },
		"type":        func(c *Config) { c.Type = quant.Q4_K },
		"overflow":    func(c *Config) { c.Blocks, c.Layers = 1<<62, 1<<62 },
		"more memory": func(c *Config) { c.Blocks, c.Layers = 1<<30, 1<<30 },
		"more places": func(c *Config) { c.Blocks, c.HeadDim = 1<<29, 2 },
	} {
		cfg := good
		edit(&cfg)
		c, err := newCache(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		}
		if (name == "overflow" || strings.HasPrefix(name, "more")) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v is not ErrTooLarge", name, err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	c, err := newCache(Config{Layers: 1, KVHeads: 1, HeadDim: 2, Blocks: 1, Type: quant.F16})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
