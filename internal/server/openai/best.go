package openai

import (
	"cmp"
	"math"
	"slices"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// bestOf reads how many answers are made for each prompt, of which n are sent.
func bestOf(c *serving.Check, r *api.CompletionRequest, n int) int {
	best := c.Int("best_of", r.BestOf, n, 1, maxChoices)
	switch {
	case best < n:
		c.Fail(serving.Bad("best_of", "best_of must be at least n, which is %d", n))
	case best > n && r.Stream:
		c.Fail(serving.Bad("best_of", "best_of above n cannot be streamed: the answers are compared when all have ended"))
	}
	return best
}

// chosen are the indices of the answers that are sent: of each prompt's, the n
// with the highest mean log-probability of a token, the best first.
func (w *work) chosen(all []*serving.Collected) []int {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	if w.best == w.n {
		return order
	}
	var chosen []int
	for of := range slices.Chunk(order, w.best) {
		slices.SortStableFunc(of, func(a, b int) int {
			return cmp.Compare(meanLogprob(all[b].Tokens), meanLogprob(all[a].Tokens))
		})
		chosen = append(chosen, of[:w.n]...)
	}
	return chosen
}

// meanLogprob is the mean log-probability of an answer's tokens. An answer
// without tokens comes after all others.
func meanLogprob(tokens []serving.TokenInfo) float64 {
	sum, n := 0.0, 0
	for _, t := range tokens {
		if !t.Prompt {
			sum += float64(t.Logprob)
			n++
		}
	}
	if n == 0 {
		return math.Inf(-1)
	}
	return sum / float64(n)
}
