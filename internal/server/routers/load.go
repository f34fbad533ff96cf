package routers

import (
	"slices"
	"strings"
	"sync"
	"time"

	api "github.com/penstock-llm/penstock/api/routers"
	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// load is GET /load.
func load(call *serving.Call) *serving.Error {
	u := call.App.Models.Usage()
	if u.Main == "" {
		return serving.Loading()
	}
	st := u.All.Stats
	return call.JSON(200, api.ServerLoad{ServerLoad: st.Running + st.Waiting})
}

// oneLoad is GET /get_load.
func oneLoad(call *serving.Call) *serving.Error {
	u := call.App.Models.Usage()
	if u.Main == "" {
		return serving.Loading()
	}
	st := u.All.Stats
	n := st.Running + st.Waiting
	return call.JSON(200, api.OneLoad{Load: n, NumReqs: n, NumWaitingReqs: st.Waiting, NumTokens: (st.Blocks - st.FreeBlocks) * batch.BlockTokens})
}

// sections are what ?include= may name. All that there is to tell of this server
// is in core.
var sections = []string{"core", "memory", "spec", "lora", "disagg", "queues", "all"}

// loads is GET /v1/loads.
func (t *throughput) loads(call *serving.Call) *serving.Error {
	u := call.App.Models.Usage()
	if u.Main == "" {
		return serving.Loading()
	}
	for name := range strings.SplitSeq(call.R.URL.Query().Get("include"), ",") {
		if name != "" && !slices.Contains(sections, name) {
			return serving.Bad("include", "include must name some of %s, not %q", strings.Join(sections, ", "), name)
		}
	}
	st, places := u.All.Stats, max(1, call.App.Models.Places())
	now := time.Now()
	l := api.Load{
		NumRunningReqs: st.Running, NumWaitingReqs: st.Waiting, NumTotalReqs: st.Running + st.Waiting,
		NumUsedTokens: (st.Blocks - st.FreeBlocks) * batch.BlockTokens, MaxTotalNumTokens: st.Blocks * batch.BlockTokens, TokenUsage: st.KVUsage,
		GenThroughput: t.since(now, st.GeneratedTokens), Utilization: float64(st.Running) / float64(places), MaxRunningRequests: places,
	}
	if st.PrefixQueryTokens > 0 {
		l.CacheHitRate = float64(st.PrefixHitTokens) / float64(st.PrefixQueryTokens)
	}
	return call.JSON(200, api.Loads{Timestamp: now.UTC().Format(time.RFC3339Nano), Version: call.App.Version, DPRankCount: 1, Loads: []api.Load{l}})
}

// throughput measures how many tokens a second are generated, from one answer to
// the next.
type throughput struct {
	mu     sync.Mutex
	at     time.Time
	tokens uint64
	rate   float64
}

// shortest is the time over which a rate is worth something. Several routers may
// ask one after the other.
const shortest = time.Second

// since is the rate until now, when so many tokens have been generated in all. It
// is 0 until there are two answers to compare.
func (t *throughput) since(now time.Time, tokens uint64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	passed := now.Sub(t.at)
	switch {
	case t.at.IsZero():
		t.at, t.tokens = now, tokens
	case passed >= shortest:
		t.rate = float64(tokens-min(t.tokens, tokens)) / passed.Seconds()
		t.at, t.tokens = now, tokens
	}
	return t.rate
}
