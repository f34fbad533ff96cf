package serving

import (
	"context"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/grammar"
	"github.com/penstock-llm/penstock/internal/sample"
)

// Job is one generation as all protocols can ask for it.
type Job struct {
	Prompt      []int32
	MaxTokens   int // 0: compute the prompt only; negative: until the context is full
	Params      sample.Params
	Stop        []string
	StopTokens  []int32
	IgnoreEOS   bool
	IncludeStop bool // the stop string is part of the text
	Special     bool // control tokens are part of the text
	Echo        bool // the prompt's tokens come first, with log-probabilities
	Stream      bool // someone waits for each token
	Progress    bool // someone waits for news of the prompt, which come as Deltas
	Priority    int
	Client      string
	Reading     *Reading      // how the answer is taken apart; nil: all of it is text
	NoPrefix    bool          // the whole prompt is computed
	Salt        string        // the prefix cache is shared with those that have the same
	MaxPredict  time.Duration // after which the answer ends at a line feed; 0: no limit

	record   *Record // of the request that it belongs to; nil: nobody wants to know
	call     *Call   // that request, whose key may have limits; nil: the server's own
	thinking thinking
	form     *form            // that the answer has; nil: any
	grammar  *grammar.Grammar // that the answer is a text of; nil: any, or the form's

	BadWords, Breakers []string // as the request gave them, for answers that repeat them
}

// stopWake is after how many tokens the reader of an answer that is not streamed
// is woken to look for stop strings. Waking it costs processor time, so it happens
// rarely; the answer may run past a stop string by this many tokens, which are cut.
const stopWake = 4

// Start hands a job to the engine. Whoever does not read the generation to its
// end must Close it.
func (m *Deployment) Start(ctx context.Context, j *Job) (*Generation, *Error) {
	wake := engine.WakeEnd
	switch {
	case j.Stream:
		wake = engine.WakeEach
	case len(j.Stop) > 0, j.MaxPredict > 0, j.Reading != nil && j.Reading.oneCall:
		wake = stopWake
	}
	if j.form != nil && j.grammar == nil {
		c, err := m.formGrammar(ctx, j.form)
		if err != nil {
			return nil, err
		}
		j.grammar = c.g
	}
	if err := j.call.take(len(j.Prompt)); err != nil {
		return nil, err
	}
	params, ignoreEOS := j.Params, j.IgnoreEOS
	if j.grammar != nil { // it knows where an answer can go on
		params.MinTokens, ignoreEOS = 0, false
	}
	stream, err := m.Engine.Submit(ctx, engine.Request{
		Prompt:       j.Prompt,
		MaxTokens:    j.MaxTokens,
		Params:       params,
		StopTokens:   j.StopTokens,
		IgnoreEOS:    ignoreEOS,
		Wake:         wake,
		Priority:     j.Priority,
		Client:       j.Client,
		EchoLogprobs: j.Echo,
		Constraint:   m.constraint(j),
		NoPrefix:     j.NoPrefix,
		Salt:         j.Salt,
		Progress:     j.Progress,
		Tag:          j,
	})
	if err != nil {
		j.call.giveBack(len(j.Prompt))
		return nil, FromEngine(err)
	}
	g := newGeneration(m, j, stream)
	g.trace = traceOf(ctx)
	j.record.started(g)
	return g, nil
}

// StartAll starts several jobs, or none.
func (m *Deployment) StartAll(ctx context.Context, jobs []*Job) ([]*Generation, *Error) {
	gens := make([]*Generation, 0, len(jobs))
	for _, j := range jobs {
		g, err := m.Start(ctx, j)
		if err != nil {
			CloseAll(gens)
			return nil, err
		}
		gens = append(gens, g)
	}
	return gens, nil
}

// CloseAll closes generations.
func CloseAll(gens []*Generation) {
	for _, g := range gens {
		g.Close()
	}
}

// EncodeChat turns a rendered conversation into tokens. Control tokens in what
// the client wrote are text, unless the operator wants them parsed.
func (m *Deployment) EncodeChat(p chat.Prompt) []int32 {
	ids, _ := m.encodeChat(p, 0) // without a limit there is no error
	return ids
}

func (m *Deployment) encodeChat(p chat.Prompt, limit int) ([]int32, error) {
	if m.ParseSpecial {
		p.Client = nil
	}
	return m.Tokenizer.EncodeMarked(p.Text, p.Client, limit)
}
