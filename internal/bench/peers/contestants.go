package peers

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/programs"
)

// programs starts what can run the model. This program's own server must; another one that fails in the first round is noted as
// absent and not tried again, and one that fails later ends the measurement, because its rounds would not pair up any more.
func (p *Peers) programs(ctx context.Context, path string, absent map[string]string, round int) (list []program, stop func(), err error) {
	stop = func() {
		for _, x := range list {
			x.stop()
		}
	}
	// The context is as long as the work needs. The full context of some models, for all slots at once, would not fit into memory.
	setup := programs.Setup{Model: path, Threads: p.Threads, Slots: 16, Context: 2048}
	spec, err := programs.Penstock(p.Executable, setup)
	if err != nil {
		return list, stop, err
	}
	own, err := startHTTP(ctx, spec)
	if err != nil {
		return list, stop, err
	}
	list = append(list, own)
	if p.Llama != "" {
		setup.Slots = 8 // the table compares with llama-server -np 8
		if spec, err = programs.Llama(filepath.Join(p.Llama, "llama-server"), setup); err != nil {
			return list, stop, err
		}
		if _, gone := absent[spec.Name]; !gone {
			s, err := startHTTP(ctx, spec)
			switch {
			case err == nil:
				list = append(list, s)
			case round > 0:
				return list, stop, err
			default:
				absent[spec.Name] = err.Error()
			}
		}
		list = append(list, toolProgram{programs.LlamaTools{Dir: p.Llama, Model: path, Threads: p.Threads}})
	}
	for _, x := range []programs.Script{{Name: "openvino", Python: p.OpenVINO, Path: p.Script}, {Name: "vllm", Python: p.VLLM, Path: p.VLLMScript}} {
		if _, gone := absent[x.Name]; x.Python == "" || gone {
			continue
		}
		r, err := programs.StartRunner(ctx, x, path, p.Threads)
		switch {
		case err == nil:
			list = append(list, &insideProgram{r})
		case round > 0:
			return list, stop, err
		default:
			absent[x.Name] = err.Error()
		}
	}
	return list, stop, ctx.Err()
}

// program is one of the programs that are compared.
type program interface {
	name() string
	does(row) bool
	run(context.Context, row) (tokensPerSecond float64, err error)
	stop()
}

// httpProgram is a server, measured through HTTP.
type httpProgram struct {
	server *programs.Server
	target load.Target
}

func startHTTP(ctx context.Context, spec programs.Spec) (*httpProgram, error) {
	s, err := programs.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	h := &httpProgram{server: s}
	if h.target, err = load.Detect(ctx, load.Target{URL: spec.URL, Dialect: load.Completions, IgnoreEOS: true, Temperature: 0.7, Timeout: 10 * time.Minute}); err == nil {
		err = loadtest.Warm(ctx, &loadtest.Work{Concurrency: 8, Words: 30}, h.withGen(8), 8)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return h, nil
}

func (h *httpProgram) withGen(n int) load.Target {
	t := h.target
	t.MaxTokens = n
	return t
}

func (h *httpProgram) name() string { return h.server.Name }
func (h *httpProgram) stop()        { h.server.Stop() }

func (h *httpProgram) does(w row) bool { return h.server.Name == self || w.server }

func (h *httpProgram) run(ctx context.Context, w row) (float64, error) {
	prompts := load.Words{Words: w.words, Seed: uint64(time.Now().UnixNano())}
	r, err := load.Run(ctx, h.withGen(w.gen), load.Traffic{Clients: w.clients, Requests: w.requests}, prompts, nil)
	if err != nil {
		return 0, err
	}
	s, err := loadtest.Summarise(r, nil)
	if err != nil {
		return 0, err
	}
	if err := s.Failures(); err != nil {
		return 0, err
	}
	if want := w.requests * w.gen; s.OutputTokens != want {
		return 0, fmt.Errorf("unequal work: %d tokens instead of %d", s.OutputTokens, want)
	}
	if w.prefill {
		return s.PromptTokensPerSecond, nil
	}
	return s.TokensPerSecond, nil
}

// toolProgram is llama.cpp without a server: llama-bench for the prefill, llama-batched-bench for a stream.
type toolProgram struct{ programs.LlamaTools }

func (t toolProgram) name() string    { return "llama.cpp" }
func (t toolProgram) stop()           {}
func (t toolProgram) does(w row) bool { return w.tools }

func (t toolProgram) run(ctx context.Context, w row) (float64, error) {
	if w.prefill {
		return t.Prefill(ctx, w.words)
	}
	b, err := t.Batched(ctx, w.clients, w.words, w.gen)
	if err != nil {
		return 0, err
	}
	return b.TokensPerSecond(), nil
}

// insideProgram is OpenVINO GenAI or vLLM in a process of its own, without HTTP.
type insideProgram struct{ runner *programs.Runner }

func (i *insideProgram) name() string    { return i.runner.Name }
func (i *insideProgram) stop()           { i.runner.Stop() }
func (i *insideProgram) does(w row) bool { return w.inside }

func (i *insideProgram) run(_ context.Context, w row) (float64, error) {
	job := programs.Job{Work: "batch", N: w.clients, Words: w.words, Gen: w.gen}
	if w.prefill {
		job = programs.Job{Work: "prefill", Words: w.words}
	}
	m, err := i.runner.Measure(job)
	if err != nil {
		return 0, err
	}
	return float64(m.Tokens) / m.Seconds, nil
}
