package serving

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// Standings are the headers in which a protocol says what a key may still use.
type Standings func(h http.Header, now time.Time, requests, tokens access.Standing)

// Visit holds a request to the limits of its key, from now until Leave. say writes
// the headers that tell how the key stands, which a client may see with any answer;
// nil: those of OpenAI's API.
func (c *Call) Visit(m *access.Meters, say Standings) *Error {
	if m == nil || c.Client.Key == nil {
		return nil
	}
	if c.standings = say; say == nil {
		c.standings = sayRateLimits
	}
	visit, refusal := m.Begin(c.Client.Key, time.Now())
	if refusal != nil {
		return OverLimit(c.Client.Key, refusal)
	}
	c.Client.visit = visit
	c.stand()
	return nil
}

// take charges the tokens of a prompt to the request's key, before they are
// computed.
func (c *Call) take(prompt int) *Error {
	if c == nil || c.Client.visit == nil {
		return nil
	}
	if refusal := c.Client.visit.Take(prompt, time.Now()); refusal != nil {
		return OverLimit(c.Client.Key, refusal)
	}
	c.stand()
	return nil
}

// giveBack takes back the charge for a prompt that the engine has refused.
func (c *Call) giveBack(prompt int) {
	if c != nil && c.Client.visit != nil {
		c.Client.visit.Return(prompt, time.Now())
	}
}

// stand writes how the key stands.
func (c *Call) stand() {
	now := time.Now()
	requests, tokens := c.Client.visit.Standing(now)
	c.standings(c.W.Header(), now, requests, tokens)
}

// Leave counts what the request has used, when its handler has returned.
func (c *Call) Leave() {
	if c.Client.visit == nil {
		return
	}
	var used access.Use
	for _, r := range c.Record.Runs() {
		used.Add(access.Use{Prompt: uint64(r.Prompt), Cached: uint64(r.Cached), Completion: uint64(r.Completion)})
	}
	c.Client.visit.End(used, time.Now())
}

// OverLimit is a 429 for a key that has used what it may.
func OverLimit(key *access.Key, r *access.Refusal) *Error {
	e := &Error{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded", RetryAfter: seconds(r.Wait),
		Message: fmt.Sprintf("the key %s has reached its limit: %s=%d", key.Name, r.Limit, r.Max)}
	if r.Quota {
		e.Type, e.Code = "insufficient_quota", "insufficient_quota"
	}
	return e
}

// Busy reports whether an error is the server's own overload, rather than a limit of
// the client's.
func (e *Error) Busy() bool { return e.Code == queueFull || e.Code == waitTooLong }

const queueFull, waitTooLong = "queue_full", "wait_too_long"

// sayRateLimits writes the headers of OpenAI's API.
func sayRateLimits(h http.Header, _ time.Time, requests, tokens access.Standing) {
	say := func(what string, s access.Standing) {
		if s.Limit > 0 {
			h.Set("X-Ratelimit-Limit-"+what, strconv.Itoa(s.Limit))
			h.Set("X-Ratelimit-Remaining-"+what, strconv.Itoa(s.Remaining))
			h.Set("X-Ratelimit-Reset-"+what, s.Reset.Round(time.Millisecond).String())
		}
	}
	say("Requests", requests)
	say("Tokens", tokens)
}
