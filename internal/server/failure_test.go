package server

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/penstock-llm/penstock/internal/batch"
)

// tripping is a script whose passes panic when told to.
type tripping struct {
	*script
	panics atomic.Int64 // how many of the next passes panic
	after  atomic.Int64 // that of a panic that comes later; 0: none
}

func (x *tripping) Forward(b *batch.Batch) []float32 {
	if x.panics.Add(-1) >= 0 || x.after.Load() > 0 && x.after.Add(-1) == 0 {
		panic("the arithmetic tripped")
	}
	return x.script.Forward(b)
}

// A panic of the model's pass is a 500 for who was in it, streaming or not, and
// nothing for who comes after.
func TestPanicOfAStepIsA500(t *testing.T) {
	x := &tripping{script: newScript("fine\x00")}
	f := serve(t, x)
	f.script = x.script
	for _, stream := range []string{"false", "true"} {
		x.panics.Store(1)
		a := f.post(t, "/v1/completions", `{"prompt":"x","stream":`+stream+`}`)
		if a.status != 500 || at(t, a.get(t), "error", "type") != "server_error" || strings.Contains(a.body, "tripped") {
			t.Errorf("stream %s: status %d: %s", stream, a.status, a.body)
		}
		x.panics.Store(0)
		if a := f.post(t, "/v1/completions", `{"prompt":"x"}`); a.status != 200 || !strings.Contains(a.body, "fine") {
			t.Errorf("afterwards: status %d: %s", a.status, a.body)
		}
		if a := f.do(t, "GET", "/health", ""); a.status != 200 {
			t.Errorf("/health: status %d", a.status)
		}
	}
}

// An engine that fails again and again says so, and not that it shuts down. It
// takes requests again by itself.
func TestBrokenEngineSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := &tripping{script: newScript("fine\x00")}
		f := serve(t, x)
		x.panics.Store(3)
		for range 3 {
			f.post(t, "/v1/completions", `{"prompt":"x"}`)
		}
		for _, path := range []string{"/health", "/readyz", "/livez"} {
			if a := f.do(t, "GET", path, ""); a.status != 503 || !strings.Contains(a.body, "failed repeatedly") {
				t.Errorf("%s: status %d: %s", path, a.status, a.body)
			}
		}
		for path := range streams {
			a := f.post(t, path, streamBody(path, "x", ""))
			if a.status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "failed repeatedly") || strings.Contains(a.body, "shutting down") {
				t.Errorf("%s: status %d, Retry-After %q: %s", path, a.status, a.header.Get("Retry-After"), a.body)
			}
		}
		waitFor(t, "the engine to restart", func() bool { return f.do(t, "GET", "/readyz", "").status == 200 })
		if a := f.post(t, "/v1/completions", `{"prompt":"x"}`); a.status != 200 || !strings.Contains(a.body, "fine") {
			t.Errorf("afterwards: status %d: %s", a.status, a.body)
		}
	})
}

// damaged is a script of a model that computes a NaN for every request.
type damaged struct{ *script }

func (x damaged) NotFinite() []int32 { return []int32{0} }

func TestNotFiniteIsA500(t *testing.T) {
	f := serve(t, damaged{newScript("fine\x00")})
	a := f.post(t, "/v1/completions", `{"prompt":"x"}`)
	if a.status != 500 || at(t, a.get(t), "error", "code") != "not_finite" || !strings.Contains(a.body, "not finite") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}
