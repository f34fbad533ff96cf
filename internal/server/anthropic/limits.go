package anthropic

import (
	"net/http"
	"strconv"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// sayRateLimits writes the headers of Anthropic's API.
func sayRateLimits(h http.Header, now time.Time, requests, tokens access.Standing) {
	say := func(what string, s access.Standing) {
		if s.Limit > 0 {
			h.Set("Anthropic-Ratelimit-"+what+"-Limit", strconv.Itoa(s.Limit))
			h.Set("Anthropic-Ratelimit-"+what+"-Remaining", strconv.Itoa(s.Remaining))
			h.Set("Anthropic-Ratelimit-"+what+"-Reset", now.Add(s.Reset).UTC().Format(time.RFC3339))
		}
	}
	say("Requests", requests)
	say("Tokens", tokens)
}
