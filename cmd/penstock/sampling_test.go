package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/sample"
)

// TestSamplingSources: each value comes from the flag, else the file, else the
// catalogue, else what is usual.
func TestSamplingSources(t *testing.T) {
	usual := sample.Settings{Seed: new(int64(7))}.Params()
	file := gguf.Sampling{Temperature: new(0.7), TopP: new(0.8), RepeatPenalty: new(1.1)}
	catalogue := gguf.Sampling{Temperature: new(0.2), TopK: new(20)}
	for _, c := range []struct {
		name  string
		flags samplingFlags
		from  []gguf.Sampling
		want  func(*sample.Params)
	}{
		{"nothing", samplingFlags{}, nil, func(*sample.Params) {}},
		{"catalogue", samplingFlags{}, []gguf.Sampling{{}, catalogue}, func(p *sample.Params) { p.Temperature, p.TopK = 0.2, 20 }},
		{"file before catalogue", samplingFlags{}, []gguf.Sampling{file, catalogue}, func(p *sample.Params) {
			p.Temperature, p.TopK, p.TopP, p.RepeatPenalty = 0.7, 20, 0.8, 1.1
		}},
		{"flags before all", samplingFlags{Temperature: new(0.0), TopK: new(0), MinP: new(0.0), RepeatLastN: new(-1)}, []gguf.Sampling{file, catalogue}, func(p *sample.Params) {
			p.Temperature, p.TopK, p.TopP, p.MinP, p.RepeatPenalty, p.RepeatLastN = 0, 0, 0.8, 0, 1.1, -1
		}},
		{"no tokens to look back at", samplingFlags{RepeatLastN: new(0), PresencePenalty: new(1.0)}, []gguf.Sampling{file}, func(p *sample.Params) {
			p.Temperature, p.TopP, p.RepeatPenalty, p.PresencePenalty, p.RepeatLastN = 0.7, 0.8, 1.1, 1, 0
		}},
		{"a file whose 0 means all", samplingFlags{}, []gguf.Sampling{{TopK: new(-1)}}, func(p *sample.Params) { p.TopK = 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := usual
			c.want(&want)
			c.flags.Seed = new(int64(7))
			want.Seed = 7
			if diff := cmp.Diff(want, c.flags.params(c.from...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSamplingFlags: serve and run take the same sampling flags, each with its
// variable.
func TestSamplingFlags(t *testing.T) {
	found := map[string]int{}
	everyFlag(parserOf(t).Model.Node, func(n *kong.Node, flag *kong.Flag) {
		if n.Name != "serve" && n.Name != "run" {
			return
		}
		variable := prefix + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if slices.Equal(flag.Envs, []string{variable}) {
			found[flag.Name]++
		}
	})
	for _, name := range []string{"temperature", "top-k", "top-p", "min-p", "repeat-penalty", "repeat-last-n", "presence-penalty", "frequency-penalty", "seed"} {
		if found[name] != 2 {
			t.Errorf("--%s is a flag of %d commands, want serve and run", name, found[name])
		}
	}
}
