package routers

import (
	"context"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// ping is GET or POST /ping.
func ping(call *serving.Call) *serving.Error {
	if err := call.App.Models.Ready(); err != nil {
		return err
	}
	return call.JSON(200, struct{}{})
}

// healthTime is how long a step of a busy engine, or the first token of an idle
// one, may take until it counts as stuck.
const healthTime = 20 * time.Second

// healthGenerate is GET /health_generate. An idle engine generates a token; a busy
// one has to get on with what it has, so that a check neither waits behind other
// requests nor fails because the queue is full.
func healthGenerate(call *serving.Call) *serving.Error {
	m, err := call.Acquire("")
	if err != nil {
		return err
	}
	defer m.Release()
	ctx, cancel := context.WithTimeout(call.R.Context(), healthTime)
	defer cancel()
	if st := m.Engine.Stats(); st.Running+st.Waiting > 0 {
		err = getsOn(ctx, m.Engine, st.Steps)
	} else {
		err = generateOne(ctx, m.Deployment)
	}
	if err != nil {
		return err
	}
	return call.JSON(200, struct{}{})
}

// getsOn waits until the engine has taken a step more, or has nothing left to do.
func getsOn(ctx context.Context, e *engine.Engine, steps uint64) *serving.Error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if st := e.Stats(); st.Steps > steps || st.Running+st.Waiting == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return serving.FromEngine(ctx.Err())
		}
	}
}

// generateOne generates a token.
func generateOne(ctx context.Context, m *serving.Deployment) *serving.Error {
	ids := m.Tokenizer.Encode("a", true, false)
	if len(ids) == 0 {
		ids = []int32{0}
	}
	g, err := m.Start(ctx, &serving.Job{Prompt: ids, MaxTokens: 1, IgnoreEOS: true, NoPrefix: true, Priority: engine.High, Client: "health"})
	if err != nil {
		return err
	}
	_, err = g.Collect(ctx)
	return err
}
