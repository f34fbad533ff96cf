package engine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/sched"
)

// What Submit refuses, besides a *sample.ParamError.
var (
	ErrQueueFull = sched.ErrQueueFull
	ErrTooLong   = sched.ErrTooLong // a *TooLongError with counts
	ErrEmpty     = sched.ErrEmpty
	ErrEncoder   = errors.New("the model makes embeddings, and generates nothing")
	ErrToken     = errors.New("no token of the vocabulary")
	ErrDraining  = errors.New("the engine takes no new requests: it is draining")
	ErrClosed    = errors.New("the engine is closed")
	ErrBroken    = errors.New("the engine is broken by repeated failures of the step") // a *BrokenError with the time of its restart
)

// ErrNotFinite is what a request ends with in whose numbers a NaN or an infinity
// came up.
var ErrNotFinite = errors.New("a number of the model is not finite (NaN or infinite); the model's file may be damaged")

// ErrStep is what a request ends with when the step that computed it failed.
var ErrStep = errors.New("the step failed")

// TooLongError is an ErrTooLong with its counts.
type TooLongError = sched.TooLongError

// Reason says why a request ended: its String is stop, length, abort or error.
type Reason = sched.Reason

// The reasons of Finish.
const (
	Stop    = sched.Stop
	Length  = sched.Length
	Aborted = sched.Aborted
	Failed  = sched.Failed
)

// The priorities of requests.
const (
	Low    = sched.Low
	Normal = sched.Normal
	High   = sched.High
)

// Wake says how often the reader of a stream is roused: each wake costs
// processor time that the model could use.
type Wake int

// The extremes of Wake: for every token, and at the end only. A number n between
// them rouses the reader for every n tokens, which suits a reader that looks for
// stop strings in an answer that is not streamed. Zero means WakeEach.
const (
	WakeEach Wake = 1
	WakeEnd  Wake = math.MaxInt
)

// Request is what to generate from what.
type Request struct {
	Prompt       []int32 // not to be changed until the request has ended
	MaxTokens    int     // 0: compute the prompt only; negative: until the context is full
	Params       sample.Params
	StopTokens   []int32           // end the generation besides Config.EOG
	IgnoreEOS    bool              // Config.EOG does not end it
	Constraint   func() Constraint // makes the sequence's own; nil: every token is allowed
	Wake         Wake
	Priority     int    // Low, Normal, High
	Client       string // whose share of the machine it uses
	NoPrefix     bool   // compute the whole prompt, whatever of it is in the prefix cache
	Salt         string // it shares the prefix cache with requests of the same salt only; what it leaves there goes to no folder
	NoGuesses    bool   // do not guess its tokens, whatever Config.Speculate says; they are the same either way
	Progress     bool   // Next also returns when more of the prompt is computed, until the first token is read
	Tag          any    // the caller's own; see Engine.Running
	EchoLogprobs bool   // the stream begins with the prompt's tokens and their log-probabilities

	// Pooling asks for the prompt's embedding, which Finish has, and for no tokens:
	// MaxTokens is 0 then. Of a cached prefix only LastPooling makes use: the others
	// need the hidden states of rows that a cache does not keep.
	Pooling model.Pooling
}

func (e *Engine) validate(r *Request) error {
	if n := len(r.Prompt); n == 0 {
		return ErrEmpty
	} else if n > e.cfg.Context || n == e.cfg.Context && r.MaxTokens != 0 {
		return &TooLongError{Prompt: n, Context: e.cfg.Context}
	}
	if r.Pooling != model.NoPooling {
		if _, ok := e.x.(stater); !ok {
			return ErrNoStates
		}
		if r.MaxTokens != 0 || r.EchoLogprobs {
			return errors.New("a request for an embedding gets no tokens")
		}
	}
	if r.Pooling == model.NoPooling && e.cfg.Encoder {
		return ErrEncoder
	}
	vocab := e.x.Vocab()
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= vocab {
			return fmt.Errorf("prompt[%d] is %d of %d: %w", i, t, vocab, ErrToken)
		}
	}
	return r.Params.Validate(vocab)
}

// Token is one element of a stream.
type Token struct {
	ID      int32
	Logprob float32          // if Params.Logprobs or EchoLogprobs; 0 if a constraint forced it
	Top     []sample.Logprob // Params.TopLogprobs of them; valid until the next call of Next
	Prompt  bool             // part of the prompt (EchoLogprobs); the very first has no log-probability

	Progress bool // no token: more of the prompt is computed, see Stream.Progress
}

// Finish is how a request ended.
type Finish struct {
	Reason      Reason
	StopToken   int32 // the token that ended it, which the stream does not contain; -1: none
	Err         error // for Failed
	Usage       Usage
	Timings     Timings
	Preemptions int
	Embedding   []float32 // if Pooling asked for it and Reason is Length: not normalised; a reranker's scores
}

// Usage counts tokens. Completion includes the stop token.
type Usage struct{ Prompt, Cached, Completion int }

// Timings are the moments of a request's life; those that it did not reach are
// zero. Forward and Sampling are the durations of the steps that it was part of,
// Between the time that passed before each of these.
type Timings struct {
	Submitted  time.Time
	Scheduled  time.Time // the start of its first step
	FirstToken time.Time
	LastToken  time.Time
	Finished   time.Time
	Steps      int
	Forward    time.Duration
	Sampling   time.Duration
	Between    time.Duration
	Drafted    int // tokens that were guessed and had rows in a step
	Accepted   int // of these, the ones that the request was given
}

// Queued is the time until the first step.
func (t *Timings) Queued() time.Duration { return since(t.Submitted, t.Scheduled, t.Finished) }

// Prefill is the time from the first step to the first token.
func (t *Timings) Prefill() time.Duration {
	if t.Scheduled.IsZero() {
		return 0
	}
	return since(t.Scheduled, t.FirstToken, t.Finished)
}

// Decode is the time from the first to the last token.
func (t *Timings) Decode() time.Duration {
	if t.FirstToken.IsZero() {
		return 0
	}
	return t.LastToken.Sub(t.FirstToken)
}

// since is the time from one moment to the next that was reached.
func since(from, to, end time.Time) time.Duration {
	if to.IsZero() {
		to = end
	}
	return max(0, to.Sub(from))
}
