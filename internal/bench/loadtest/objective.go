package loadtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// objective is a limit that a request must keep to count as goodput.
type objective struct {
	metric string // ttft, tpot, itl or e2e
	limit  time.Duration
}

// parseObjectives reads texts such as "ttft=500ms", "tpot=50ms", "e2e=5s" and "itl=80ms", which limits the longest gap of a request.
func parseObjectives(texts []string) ([]objective, error) {
	var out []objective
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("objective %q: want METRIC=DURATION, such as ttft=500ms", text)
		}
		limit, err := time.ParseDuration(value)
		if err != nil || limit <= 0 {
			return nil, fmt.Errorf("objective %q: %q is no positive duration", text, value)
		}
		switch name {
		case "ttft", "tpot", "itl", "e2e":
			out = append(out, objective{name, limit})
		default:
			return nil, fmt.Errorf("objective %q: %q is none of ttft, tpot, itl, e2e", text, name)
		}
	}
	return out, nil
}

func (o objective) met(s *load.Sample) bool {
	switch o.metric {
	case "ttft":
		return s.First > 0 && s.First <= o.limit
	case "tpot":
		return tpot(s) <= o.limit
	case "itl":
		for i := 1; i < len(s.Events); i++ {
			if s.Events[i]-s.Events[i-1] > o.limit {
				return false
			}
		}
		return true
	default:
		return s.End <= o.limit
	}
}

// tpot is the time per output token after the first one; 0 for answers that were not streamed or have fewer than two tokens.
func tpot(s *load.Sample) time.Duration {
	if s.First == 0 || s.Completion < 2 {
		return 0
	}
	return (s.End - s.First) / time.Duration(s.Completion-1)
}

func needsStream(objectives []objective) bool {
	for _, o := range objectives {
		if o.metric != "e2e" {
			return true
		}
	}
	return false
}
