package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// Summary sums up a run. Tokens are counted by the server's usage, never estimated.
//
// TTFT is the time from sending a request (in an open loop: from when it was due) to the first event with text. ITL is the gap between two
// events of a stream, pooled over all requests. TPOT is a request's (E2E - TTFT) / (output tokens - 1). E2E is the time to the last byte.
type Summary struct {
	Requests int            `json:"requests"`
	OK       int            `json:"ok"`
	Resent   int            `json:"resent,omitempty"`
	Errors   map[string]int `json:"errors,omitempty"`
	Seconds  float64        `json:"seconds"`

	PromptTokens int `json:"prompt_tokens"`
	CachedTokens int `json:"cached_tokens"`
	OutputTokens int `json:"output_tokens"`

	RequestsPerSecond     float64 `json:"requests_per_second"`
	TokensPerSecond       float64 `json:"tokens_per_second"` // output
	PromptTokensPerSecond float64 `json:"prompt_tokens_per_second"`
	Concurrency           float64 `json:"concurrency"` // mean number of requests under way

	TTFT *stats.Distribution `json:"ttft,omitempty"`
	ITL  *stats.Distribution `json:"itl,omitempty"`
	TPOT *stats.Distribution `json:"tpot,omitempty"`
	E2E  stats.Distribution  `json:"e2e"`
	Late *stats.Distribution `json:"late,omitempty"` // open loop: how long after it was due a request was sent, because no slot or no CPU of the client was free

	Goodput *Goodput `json:"goodput,omitempty"`

	ClientCPU         float64 `json:"client_cpu_seconds"`
	ClientCPUPerToken float64 `json:"client_cpu_us_per_token"`
}

// Goodput counts the requests that met every objective.
type Goodput struct {
	Objectives        []string `json:"objectives"`
	Met               int      `json:"met"`
	Share             float64  `json:"share"`
	RequestsPerSecond float64  `json:"requests_per_second"`
}

// Summarise turns samples into a summary. It fails where a figure would be false: no request succeeded, the server reports no usage or no
// tokens, or the answers are of different models.
func Summarise(r *load.Result, objectives []objective) (*Summary, error) {
	s := &Summary{Requests: len(r.Samples), Seconds: r.Elapsed.Seconds(), ClientCPU: r.CPU.Seconds()}
	models := map[string]int{}
	uncounted, met := 0, 0
	var busy time.Duration
	dist := newDistributions()
	for i := range r.Samples {
		x := &r.Samples[i]
		if x.Resent {
			s.Resent++
		}
		if !x.OK() {
			if s.Errors == nil {
				s.Errors = map[string]int{}
			}
			s.Errors[x.Err]++
			continue
		}
		s.OK++
		if !x.Counted {
			uncounted++
		}
		if x.Model != "" {
			models[x.Model]++
		}
		s.PromptTokens += x.Prompt
		s.CachedTokens += x.Cached
		s.OutputTokens += x.Completion
		busy += x.End
		dist.add(x)
		if !slices.ContainsFunc(objectives, func(o objective) bool { return !o.met(x) }) {
			met++
		}
	}
	if err := s.believable(models, uncounted); err != nil {
		return nil, err
	}
	s.RequestsPerSecond = float64(s.OK) / s.Seconds
	s.TokensPerSecond = float64(s.OutputTokens) / s.Seconds
	s.PromptTokensPerSecond = float64(s.PromptTokens) / s.Seconds
	s.Concurrency = busy.Seconds() / s.Seconds
	s.ClientCPUPerToken = s.ClientCPU * 1e6 / float64(s.OutputTokens)
	dist.into(s)
	if len(objectives) > 0 {
		s.Goodput = &Goodput{Met: met, Share: float64(met) / float64(s.Requests), RequestsPerSecond: float64(met) / s.Seconds}
		for _, o := range objectives {
			s.Goodput.Objectives = append(s.Goodput.Objectives, o.metric+"="+o.limit.String())
		}
	}
	return s, nil
}

func (s *Summary) believable(models map[string]int, uncounted int) error {
	switch {
	case s.Requests == 0:
		return errors.New("no request was sent")
	case s.OK == 0:
		return fmt.Errorf("all %d requests failed: %s", s.Requests, s.commonError())
	case uncounted > 0:
		return fmt.Errorf("%d of %d answers report no usage, so tokens can't be counted", uncounted, s.OK)
	case len(models) > 1:
		return fmt.Errorf("the answers name different models (%s), which is no comparison of one thing",
			strings.Join(slices.Sorted(maps.Keys(models)), ", "))
	case s.OutputTokens == 0:
		return errors.New("the server generated no tokens")
	case s.Seconds <= 0:
		return errors.New("the run took no time")
	}
	return nil
}

// commonError is the most frequent failure.
func (s *Summary) commonError() string {
	keys := slices.SortedFunc(maps.Keys(s.Errors), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Errors[b], s.Errors[a]), cmp.Compare(a, b))
	})
	if len(keys) == 0 {
		return "no reason given"
	}
	return keys[0]
}

// Failures returns an error if some requests of the run failed.
func (s *Summary) Failures() error {
	if s.OK == s.Requests {
		return nil
	}
	return fmt.Errorf("%w: %d of %d failed: %s", results.ErrFailures, s.Requests-s.OK, s.Requests, s.commonError())
}

// distributions collects the latencies of a run.
type distributions struct {
	ttft, itl, tpot, e2e, late *stats.Latency
	open                       bool
}

func newDistributions() *distributions {
	n := stats.NewLatency
	return &distributions{ttft: n(), itl: n(), tpot: n(), e2e: n(), late: n()}
}

func (d *distributions) add(s *load.Sample) {
	d.e2e.Add(s.End)
	if s.Late > 0 {
		d.open = true
		d.late.Add(s.Late)
	}
	if s.First == 0 {
		return
	}
	d.ttft.Add(s.First)
	if t := tpot(s); t > 0 {
		d.tpot.Add(t)
	}
	for i := 1; i < len(s.Events); i++ {
		d.itl.Add(s.Events[i] - s.Events[i-1])
	}
}

func (d *distributions) into(s *Summary) {
	s.E2E = d.e2e.Distribution()
	optional := func(l *stats.Latency) *stats.Distribution {
		if v := l.Distribution(); v.N > 0 {
			return &v
		}
		return nil
	}
	s.TTFT, s.ITL, s.TPOT = optional(d.ttft), optional(d.itl), optional(d.tpot)
	if d.open {
		s.Late = optional(d.late)
	}
}
