package kvcache

import (
	"errors"
	"testing"

	"github.com/penstock-llm/penstock/internal/quant"
)

func TestLayout(t *testing.T) {
	cfg := Config{Layers: 3, KVHeads: 2, HeadDim: 64, Blocks: 5, Type: quant.F16}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	per, err := BytesPerBlock(cfg)
	if err != nil || per*cfg.Blocks != c.Bytes() {
		t.Fatalf("BytesPerBlock %d × %d blocks, cache has %d: %v", per, cfg.Blocks, c.Bytes(), err)
	}
	// Every run is written with its own number; none may run into another.
	mark := byte(0)
	each := func(do func(run []byte)) {
		for l := range cfg.Layers {
			for h := range cfg.KVHeads {
				do(c.Keys(l, h))
				do(c.Values(l, h))
			}
		}
	}
	each(func(run []byte) {
		if len(run) != cfg.Blocks*c.Stride() {
			t.Fatalf("run of %d bytes, want %d", len(run), cfg.Blocks*c.Stride())
		}
		mark++
		for i, b := range run {
			if b != 0 {
				t.Fatalf("byte %d of run %d is %d, want 0", i, mark, b)
			}
			run[i] = mark
		}
	})
	mark = 0
	each(func(run []byte) {
		mark++
		if run[0] != mark || run[len(run)-1] != mark {
			t.Fatalf("run %d was overwritten", mark)
		}
	})
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
	} {
		cfg := good
		edit(&cfg)
		c, err := New(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		}
		if (name == "overflow" || name == "more memory") && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v is not ErrTooLarge", name, err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	c, err := New(Config{Layers: 1, KVHeads: 1, HeadDim: 2, Blocks: 1, Type: quant.F16})
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
