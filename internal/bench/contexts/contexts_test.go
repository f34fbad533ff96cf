package contexts

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

func tiny(t *testing.T) *Contexts {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{Context: 4096}); err != nil {
		t.Fatal(err)
	}
	return &Contexts{Model: path, Batch: 3, Short: 5, Ctx: 50, Long: 3000, Prompt: 40, Rounds: 2, Steps: 2, Threads: 2, Tier: cpu.Detect()}
}

func TestContexts(t *testing.T) {
	c := tiny(t)
	c.JSON = false
	var out, progress bytes.Buffer
	c.Progress = &progress
	if err := c.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(progress.String()), "\n"); len(lines) != 3*7 || lines[20] != "round 2 of 2, prompt of 3000" {
		t.Errorf("progress: %q", lines)
	}
	for _, want := range []string{"batch 3, context 50 / batch 3, context 5", "batch 3, shared prefix of 50", "one stream, context 3000 / one stream, context 5",
		"time of a token: prompt of 3000 / prompt of 40", "attention's share of: batch 3, context 5"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
		t.Errorf("a figure is none:\n%s", out.String())
	}
}

// TestFullCache: what is measured reads memory that was written, not the one page of zeros that the system shows instead.
func TestFullCache(t *testing.T) {
	c := tiny(t)
	r, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	cache := r.store.Cache(0)
	for b := range cache.Config().Blocks {
		at := (b/cache.Run()*cache.Pitch() + b%cache.Run()) * cache.Stride()
		if bytes.Count(cache.Values(0, 0)[at:][:cache.Stride()], []byte{0}) == cache.Stride() {
			t.Fatalf("block %d is empty", b)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	for _, x := range []struct {
		change func(*Contexts)
		want   string
	}{
		{func(c *Contexts) { c.Batch = 0 }, "--batch"},
		{func(c *Contexts) { c.Rounds = 0 }, "--rounds"},
		{func(c *Contexts) { c.Ctx = c.Short }, "--short must be less than --ctx"},
		{func(c *Contexts) { c.Long = c.Ctx }, "--ctx less than --long"},
		{func(c *Contexts) { c.Prompt = c.Long }, "--prompt less than --long"},
		{func(c *Contexts) { c.Long = 5000 }, "--long 5000"},
	} {
		c := tiny(t)
		x.change(c)
		if err := c.Run(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%+v: %v, want %q", c, err, x.want)
		}
	}
}
