package contexts

import (
	"context"
	"fmt"

	"github.com/penstock-llm/penstock/internal/bench/programs"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// rivalTokens is how many tokens llama.cpp generates after the long context.
const rivalTokens = 16

// Rival is llama.cpp with one type of cache: its speeds in tokens a second, of each round.
type Rival struct {
	Cache  string    `json:"cache"`
	Prompt []float64 `json:"prompt_tokens_per_second"` // the long prompt
	Decode []float64 `json:"tokens_per_second"`        // one stream after it
}

// newRivals are the types of cache that the better of counts.
func newRivals() []Rival { return []Rival{{Cache: "f16"}, {Cache: "q8_0"}} }

func (v *Rival) named(what string) string { return fmt.Sprintf("llama.cpp, %s: %s", v.Cache, what) }

func (v *Rival) row(what string, speeds []float64) []string {
	return []string{v.named(what), fmt.Sprintf("%.1f", stats.Median(speeds)), span(speeds, "%.1f", 1)}
}

// rivals measures llama.cpp once with each type of cache: a prompt as long as the long context, and tokens after it.
func (c *Contexts) rivals(ctx context.Context, round int, rivals []Rival) error {
	for i := range rivals {
		v := &rivals[i]
		c.say(round, v.named(fmt.Sprintf("prompt of %d and %d tokens after it", c.Long, rivalTokens)))
		tools := programs.LlamaTools{Dir: c.Llama, Model: c.Model, Threads: c.Threads, Cache: v.Cache}
		b, err := tools.Batched(ctx, 1, c.Long, rivalTokens)
		if err != nil {
			return err
		}
		v.Prompt = append(v.Prompt, float64(b.Prompt)/b.Prefill)
		v.Decode = append(v.Decode, float64(b.Generate)/b.Decode)
	}
	return nil
}

// against adds the ratio of a point to llama.cpp's speed with the cache that was best in the same round.
func (r *Result) against(point int, speeds func(*Rival) []float64) {
	best := make([]float64, len(r.Points[point].Speeds))
	for i := range r.Llama {
		for round, speed := range speeds(&r.Llama[i]) {
			best[round] = max(best[round], speed)
		}
	}
	p := r.Points[point]
	r.Ratios = append(r.Ratios, Ratio{Name: p.Name + " / llama.cpp with its best cache", Values: stats.Ratios(p.Speeds, best)})
}
