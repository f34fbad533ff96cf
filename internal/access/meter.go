package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Use is what somebody has used.
type Use struct {
	Requests   uint64 `json:"requests"`
	Prompt     uint64 `json:"prompt_tokens"`
	Cached     uint64 `json:"cached_tokens"` // of these, those that were found in the prefix cache
	Completion uint64 `json:"completion_tokens"`
}

// Add adds what somebody else has used, or the same at another time.
func (u *Use) Add(o Use) {
	u.Requests += o.Requests
	u.Prompt += o.Prompt
	u.Cached += o.Cached
	u.Completion += o.Completion
}

// Tokens is what limits count: the tokens of prompts and of answers.
func (u Use) Tokens() int { return int(u.Prompt + u.Completion) }

// Meters hold keys to their limits and count what they use. Time comes in from
// outside. What was used before comes from a Ledger, which also keeps it.
type Meters struct {
	mu   sync.Mutex
	keys map[string]*meter
}

// meter is the use of one key.
type meter struct {
	limits   Limits
	requests *rate.Limiter // nil: no limit
	tokens   *rate.Limiter // may be in debt: an answer's tokens are known when it has ended
	running  int
	total    Use            // since the server started
	days     map[string]Use // of the month, by day, as far as they are known
	unsaved  map[string]Use // of these, what no ledger has yet
}

// NewMeters makes meters on which nothing was used yet.
func NewMeters() *Meters { return &Meters{keys: map[string]*meter{}} }

// of is the meter of a key, with the limits that it has at present.
func (m *Meters) of(key *Key) *meter {
	k := m.keys[key.Name]
	if k == nil {
		k = &meter{days: map[string]Use{}, unsaved: map[string]Use{}}
		m.keys[key.Name] = k
	}
	if k.limits != key.Limits {
		if k.limits.RequestsPerMinute != key.Limits.RequestsPerMinute {
			k.requests = perMinute(key.Limits.RequestsPerMinute)
		}
		if k.limits.TokensPerMinute != key.Limits.TokensPerMinute {
			k.tokens = perMinute(key.Limits.TokensPerMinute)
		}
		k.limits = key.Limits
	}
	return k
}

// perMinute is a bucket that holds what may be used in a minute; nil: no limit.
func perMinute(n int) *rate.Limiter {
	if n == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(float64(n)/60), n)
}

// Refusal says which limit a request would exceed.
type Refusal struct {
	Limit string        // the option of the key
	Max   int           // its value
	Wait  time.Duration // until there is room again; 0: unknown, when another request ends
	Quota bool          // it is one of a day or month
}

// Visit is one request of a key, from its beginning to its end.
type Visit struct {
	meters *Meters
	meter  *meter
	taken  Use // what was charged already
}

// Begin counts a request, or says why it may not be answered. Whoever gets a Visit
// must End it.
func (m *Meters) Begin(key *Key, now time.Time) (*Visit, *Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(key)
	if r := k.exhausted(now); r != nil {
		return nil, r
	}
	l := &k.limits
	if l.Concurrent > 0 && k.running >= l.Concurrent {
		return nil, &Refusal{Limit: "concurrent", Max: l.Concurrent}
	}
	if k.requests != nil && !k.requests.AllowN(now, 1) {
		return nil, &Refusal{Limit: "requests-per-minute", Max: l.RequestsPerMinute, Wait: missing(k.requests, 1, now)}
	}
	if k.tokens != nil && k.tokens.TokensAt(now) < 1 {
		return nil, &Refusal{Limit: "tokens-per-minute", Max: l.TokensPerMinute, Wait: missing(k.tokens, 1, now)}
	}
	k.running++
	k.use(Use{Requests: 1}, now)
	return &Visit{meters: m, meter: k, taken: Use{Requests: 1}}, nil
}

// exhausted says which quota of a day or month is used up, if one is.
func (k *meter) exhausted(now time.Time) *Refusal {
	today, month := now.UTC().Format(time.DateOnly), now.UTC().Format("2006-01")
	if n := k.limits.TokensPerDay; n > 0 && k.days[today].Tokens() >= n {
		return &Refusal{Limit: "tokens-per-day", Max: n, Wait: nextDay(now).Sub(now), Quota: true}
	}
	if n := k.limits.TokensPerMonth; n > 0 && k.since(month).Tokens() >= n {
		return &Refusal{Limit: "tokens-per-month", Max: n, Wait: nextMonth(now).Sub(now), Quota: true}
	}
	return nil
}

// since is the use of all days of a month.
func (k *meter) since(month string) (sum Use) {
	for day, u := range k.days {
		if day[:len(month)] == month {
			sum.Add(u)
		}
	}
	return sum
}

func nextDay(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func nextMonth(now time.Time) time.Time {
	y, m, _ := now.UTC().Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
}

// missing is how long it takes until a bucket holds n.
func missing(l *rate.Limiter, n float64, now time.Time) time.Duration {
	return max(0, time.Duration((n-l.TokensAt(now))/float64(l.Limit())*float64(time.Second)))
}

// Take charges a prompt before it is computed, or says that there is no room for it.
// One that is longer than all that a minute allows needs a full bucket.
func (v *Visit) Take(prompt int, now time.Time) *Refusal {
	if v == nil {
		return nil
	}
	v.meters.mu.Lock()
	defer v.meters.mu.Unlock()
	k := v.meter
	if r := k.exhausted(now); r != nil {
		return r
	}
	if l := k.tokens; l != nil {
		if need := float64(min(prompt, l.Burst())); l.TokensAt(now) < need {
			return &Refusal{Limit: "tokens-per-minute", Max: k.limits.TokensPerMinute, Wait: missing(l, need, now)}
		}
	}
	v.charge(Use{Prompt: uint64(prompt)}, now)
	return nil
}

// Return takes back what Take has charged for a prompt that was refused after it, as by
// a queue that was full. What was charged on the day before stays charged.
func (v *Visit) Return(prompt int, now time.Time) {
	if v == nil {
		return
	}
	v.meters.mu.Lock()
	defer v.meters.mu.Unlock()
	k, n, day := v.meter, uint64(prompt), now.UTC().Format(time.DateOnly)
	if k.days[day].Prompt < n {
		return
	}
	for _, days := range []map[string]Use{k.days, k.unsaved} {
		sum := days[day]
		sum.Prompt -= n // below 0 where the ledger has it already: the next Save corrects it
		days[day] = sum
	}
	k.total.Prompt -= n
	v.taken.Prompt -= n
	if l := k.tokens; l != nil {
		l.ReserveN(now, -prompt) // the bucket does not get fuller than full
	}
}

// charge counts a use, which may bring the key's bucket into debt.
func (v *Visit) charge(u Use, now time.Time) {
	v.taken.Add(u)
	v.meter.use(u, now)
	if l := v.meter.tokens; l != nil {
		for n := u.Tokens(); n > 0; n -= l.Burst() {
			l.ReserveN(now, min(n, l.Burst()))
		}
	}
}

// use counts for the day, which decides at its end which day it belongs to.
func (k *meter) use(u Use, now time.Time) {
	day := now.UTC().Format(time.DateOnly)
	for _, days := range []map[string]Use{k.days, k.unsaved} {
		sum := days[day]
		sum.Add(u)
		days[day] = sum
	}
	k.total.Add(u)
}

// End counts what the request has used in all, beyond what was charged already.
func (v *Visit) End(used Use, now time.Time) {
	if v == nil {
		return
	}
	v.meters.mu.Lock()
	defer v.meters.mu.Unlock()
	v.meter.running--
	more := Use{Cached: used.Cached, Completion: used.Completion}
	if used.Prompt > v.taken.Prompt {
		more.Prompt = used.Prompt - v.taken.Prompt
	}
	v.charge(more, now)
}

// Standing is what a key may still use at a moment, of requests or of tokens a minute.
type Standing struct {
	Limit     int // 0: there is none
	Remaining int
	Reset     time.Duration // until all of it is there again
}

// Standing returns how a key stands at present.
func (v *Visit) Standing(now time.Time) (requests, tokens Standing) {
	if v == nil {
		return
	}
	v.meters.mu.Lock()
	defer v.meters.mu.Unlock()
	of := func(l *rate.Limiter) Standing {
		if l == nil {
			return Standing{}
		}
		return Standing{l.Burst(), max(0, int(l.TokensAt(now))), missing(l, float64(l.Burst()), now)}
	}
	return of(v.meter.requests), of(v.meter.tokens)
}

// Totals is what each key has used since the server started.
func (m *Meters) Totals() map[string]Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]Use, len(m.keys))
	for name, k := range m.keys {
		all[name] = k.total
	}
	return all
}
