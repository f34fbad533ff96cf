package engine

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/sample"
)

// faultyMock goes wrong when told to.
type faultyMock struct {
	*Mock
	panics int   // passes that panic
	nan    int32 // the row of a sequence whose last token is this gets a NaN; 0: none
}

func (m *faultyMock) Forward(b *batch.Batch) []float32 {
	if m.panics > 0 {
		m.panics--
		time.Sleep(time.Millisecond) // in a bubble: until whoever submits has submitted everything
		panic("arithmetic went up in smoke")
	}
	logits := m.Mock.Forward(b)
	for i, row := range b.Logits {
		if m.nan != 0 && b.Tokens[row] == m.nan {
			logits[i*testVocab+11] = float32(math.NaN())
		}
	}
	return logits
}

// drainError reads a stream that must fail.
func drainError(t *testing.T, s *Stream) error {
	t.Helper()
	for {
		if _, ok, err := s.Next(t.Context()); !ok {
			if (err != nil) != (s.Finish().Reason == Failed) {
				t.Errorf("%v with error %v", s.Finish().Reason, err)
			}
			return err
		}
	}
}

// Logits that are not numbers fail their sequence and no other, and its blocks
// are not offered to others.
func TestNaNFailsOnlyItsSequence(t *testing.T) {
	x := &faultyMock{Mock: testMock(64), nan: 333}
	inBubble(t, x, testConfig(64), func(t *testing.T, e *Engine) {
		bad := append(tokens(0, 32), 333)
		a := submit(t, e, Request{Prompt: tokens(7, 20), MaxTokens: 20})
		b := submit(t, e, Request{Prompt: bad, MaxTokens: 20})
		if err := drainError(t, b); !errors.Is(err, sample.ErrNotFinite) {
			t.Errorf("got %v", err)
		}
		if got := read(t, a); !slices.Equal(got, expect(x.Mock, tokens(7, 20), 20)) {
			t.Error("the neighbour was disturbed")
		}
		x.nan = 0
		again := submit(t, e, Request{Prompt: bad, MaxTokens: 20})
		if got := read(t, again); !slices.Equal(got, expect(x.Mock, bad, 20)) || again.Finish().Usage.Cached != 0 {
			t.Errorf("got %v, %d cached", got, again.Finish().Usage.Cached)
		}
	})
}

// A panic in the pass fails those who took part in it; the engine and those who
// wait go on.
func TestPanicFailsTheStep(t *testing.T) {
	x := &faultyMock{Mock: testMock(64), panics: 1}
	cfg := testConfig(64)
	cfg.MaxBatch = 1
	var told string
	cfg.OnPanic = func(v any, stack []byte) { told = v.(string) + string(stack) }
	inBubble(t, x, cfg, func(t *testing.T, e *Engine) {
		a := submit(t, e, Request{Prompt: tokens(0, 20), MaxTokens: 20})
		b := submit(t, e, Request{Prompt: tokens(7, 20), MaxTokens: 20})
		if err := drainError(t, a); !errors.Is(err, ErrStep) || !strings.Contains(err.Error(), "smoke") {
			t.Errorf("got %v", err)
		}
		if got := read(t, b); !slices.Equal(got, expect(x.Mock, tokens(7, 20), 20)) {
			t.Error("the waiting request was harmed")
		}
		if !strings.Contains(told, "smoke") || !strings.Contains(told, "Forward") {
			t.Errorf("OnPanic got %q", told)
		}
		if e.Stats().Broken {
			t.Error("broken by one panic")
		}
	})
}

func TestLogprobs(t *testing.T) {
	m := testMock(64)
	// The mock's row is one logit of 20 and zeros.
	peak := -math.Log(1 + (testVocab-1)*math.Exp(-mockPeak))
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		p := sample.Params{Logprobs: true, TopLogprobs: 2}
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 600, Params: p})
		want := expect(m, tokens(0, 5), 600)
		for i := range 600 {
			tok, ok, err := s.Next(t.Context())
			if !ok || err != nil || tok.ID != want[i] || math.Abs(float64(tok.Logprob)-peak) > 1e-5 || len(tok.Top) != 2 || tok.Top[0].Token != want[i] || tok.Prompt {
				t.Fatalf("%d: %+v %v %v", i, tok, ok, err)
			}
		}
		read(t, s)
	})
}

// flatMock makes the likeliest token the less likely the larger it is.
type flatMock struct{ *Mock }

func (m flatMock) Forward(b *batch.Batch) []float32 {
	logits := m.Mock.Forward(b)
	for i, x := range logits {
		if x != 0 {
			logits[i] = m.height(int32(i % testVocab))
		}
	}
	return logits
}

func (m flatMock) height(token int32) float32 { return 12 - float32(token)/100 }

// logprob is what the mock's likeliest token must be reported with.
func (m flatMock) logprob(token int32) float64 {
	return -math.Log(1 + (testVocab-1)*math.Exp(-float64(m.height(token))))
}

// EchoLogprobs alone reports the log-probabilities of what is generated, too.
func TestEchoLogprobsOfGeneratedTokens(t *testing.T) {
	m := flatMock{testMock(64)}
	inBubble(t, m, testConfig(64), func(t *testing.T, e *Engine) {
		s := submit(t, e, Request{Prompt: tokens(0, 5), MaxTokens: 40, EchoLogprobs: true, Params: sample.Params{TopLogprobs: 2}})
		for i := 0; ; i++ {
			tok, ok, err := s.Next(t.Context())
			if err != nil || !ok && i != 45 {
				t.Fatal(i, err)
			}
			if !ok {
				break
			}
			if want := m.logprob(tok.ID); i >= 5 && (math.Abs(float64(tok.Logprob)-want) > 1e-5 || tok.Top[0].Token != tok.ID || tok.Top[0].Value != tok.Logprob) {
				t.Errorf("%d: %+v, want log-probability %v", i, tok, want)
			}
			if i == 0 && (len(tok.Top) != 0 || tok.Logprob != 0) {
				t.Errorf("the first token of the prompt has %+v", tok)
			}
		}
	})
}

// EchoLogprobs delivers the prompt first, once, also through preemptions, and
// although it is cached.
func TestEchoLogprobs(t *testing.T) {
	m := NewMock(MockConfig{Vocab: testVocab, Blocks: 10, StepTime: stepTime, MaxLogits: 12})
	cfg := testConfig(10)
	peak := -math.Log(1 + (testVocab-1)*math.Exp(-mockPeak))
	inBubble(t, m, cfg, func(t *testing.T, e *Engine) {
		// A prompt whose second half is what the mock would say.
		prompt := append(tokens(0, 20), expect(m, tokens(0, 20), 20)...)
		read(t, submit(t, e, Request{Prompt: prompt, MaxTokens: 1})) // now it is cached
		old := submit(t, e, Request{Prompt: tokens(90, 20), MaxTokens: 80})
		time.Sleep(stepTime)
		s := submit(t, e, Request{Prompt: prompt, MaxTokens: 60, EchoLogprobs: true, Params: sample.Params{TopLogprobs: 3}})
		want := append(slices.Clone(prompt), expect(m, prompt, 60)...)
		for i := range want {
			tok, ok, err := s.Next(t.Context())
			if !ok || err != nil || tok.ID != want[i] || tok.Prompt != (i < 40) {
				t.Fatalf("%d: %+v %v %v, want %d", i, tok, ok, err, want[i])
			}
			if i >= 20 && math.Abs(float64(tok.Logprob)-peak) > 1e-5 || i == 0 && tok.Logprob != 0 || i > 0 && len(tok.Top) != 3 {
				t.Fatalf("%d: %+v, want logprob %v", i, tok, peak)
			}
		}
		read(t, s)
		read(t, old)
		if s.Finish().Preemptions == 0 {
			t.Error("it was not preempted: the test shows too little")
		}
		zero := submit(t, e, Request{Prompt: prompt, MaxTokens: 0, EchoLogprobs: true})
		if got := read(t, zero); !slices.Equal(got, prompt) {
			t.Errorf("only the prompt: %v", got)
		}
		one := submit(t, e, Request{Prompt: prompt[:1], MaxTokens: 0, EchoLogprobs: true})
		if got := read(t, one); !slices.Equal(got, prompt[:1]) {
			t.Errorf("a prompt of one token: %v", got)
		}
	})
}
