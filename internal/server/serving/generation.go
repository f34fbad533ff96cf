package serving

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Generation is a running job, read as text. One goroutine reads it.
type Generation struct {
	model  *Deployment
	job    *Job
	stream *engine.Stream
	dec    *tokenizer.Decoder
	stops  stops

	text    []byte // decoded; what follows the first `given` bytes has not been in a Delta yet
	given   int    // bytes at the front of text that the last Delta pointed to
	total   int    // bytes given out before text
	infos   []TokenInfo
	sent    int // how many of infos the last Delta pointed to
	ids     []int32
	keepIDs bool      // the last Delta was not given out, and its ids belong to the next one
	count   int       // tokens read, without the prompt's
	stopped bool      // by a stop string, or MaxPredict
	began   time.Time // of the first token
	late    bool      // MaxPredict has ended it
	newLine bool      // the text had a line feed
	result  Result
	reading *reading       // nil: all of the answer is text
	plain   [1]answer.Part // the only part of a Delta then
	trace   *Trace         // nil unless someone asked
	answer  []int32        // if the log is to have it
	told    bool           // the record has it
}

// Delta is what a generation has produced since the Delta before. Its slices are
// reused by the next call of Next.
type Delta struct {
	Text   []byte        // whole characters, as the model wrote them; may be empty
	Parts  []answer.Part // the same taken apart, as far as that is certain
	Tokens []TokenInfo   // if log-probabilities were asked for
	IDs    []int32       // the tokens read since the last Delta
	Done   bool          // nothing follows; Result is valid

	Progress bool // no more than that more of the prompt is computed: see Generation.Progress
}

// TokenInfo is a token with its log-probability.
type TokenInfo struct {
	ID      int32
	Logprob float32
	Top     []sample.Logprob
	Offset  int  // in bytes of the text
	Prompt  bool // the token is part of the prompt, whose first token has no log-probability
}

// Result is how a generation ended.
type Result struct {
	Reason      string // stop or length
	StopWord    string // the stop string that ended it, or ""
	StopToken   int32  // the token that ended it, or -1
	NamedStop   bool   // StopToken is one that the request named
	Prompt      int    // tokens
	Cached      int    // prompt tokens from the prefix cache
	Completion  int    // tokens, the stop token included
	Calls       int    // of tools
	Reasoning   int    // tokens of what the model thought
	Timings     engine.Timings
	Preemptions int
}

func newGeneration(m *Deployment, j *Job, s *engine.Stream) *Generation {
	g := &Generation{
		model:  m,
		job:    j,
		stream: s,
		dec:    m.Tokenizer.NewDecoder(j.Special).Resume(),
		stops:  newStops(j.Stop),
	}
	if j.Reading != nil {
		g.reading = j.Reading.start()
	}
	return g
}

// Progress is how far the generation has come.
func (g *Generation) Progress() engine.Progress { return g.stream.Progress() }

// Close aborts the generation unless it has ended.
func (g *Generation) Close() {
	g.heard()
	g.stream.Close()
	if g.reading != nil {
		g.reading.parser.Close()
	}
}

// Next waits until there is more to give out, or the end. Tokens that have
// queued up come as one.
func (g *Generation) Next(ctx context.Context) (Delta, *Error) {
	for {
		d, err := g.advance(ctx)
		if err != nil {
			return d, err
		}
		if d.Progress {
			return d, nil
		}
		g.takeApart(&d)
		if len(d.Parts) > 0 || len(d.Tokens) > 0 || d.Done {
			g.hear(&d)
			return d, nil
		}
		g.keepIDs = true // nobody has seen them
	}
}

// hear keeps the tokens of the answer, if the log is to have it.
func (g *Generation) hear(d *Delta) {
	if !g.job.record.keeps() {
		return
	}
	g.answer = append(g.answer, d.IDs...)
	if d.Done {
		g.heard()
	}
}

// heard gives the record what was asked and answered, once.
func (g *Generation) heard() {
	if g.job.record.keeps() && !g.told {
		g.told = true
		g.job.record.heard(g.model, g.job.Prompt, g.answer)
	}
}

// takeApart finds the parts of a Delta's text.
func (g *Generation) takeApart(d *Delta) {
	if g.reading == nil {
		if len(d.Text) > 0 {
			g.plain[0] = answer.Part{Text: d.Text}
			d.Parts = g.plain[:]
		}
		return
	}
	d.Parts = g.reading.take(d.Text, g.total, d.Done, g.result.Reason == engine.Length.String() || g.stopped)
	if len(d.Parts) > 0 && d.Parts[0].Kind == answer.Reasoning {
		g.result.Reasoning += len(d.IDs)
	}
	if g.reading.over && !g.stopped {
		g.stopped = true
		g.stream.Close()
	}
	if d.Done {
		g.result.Calls = g.reading.calls()
	}
}

// advance waits until there is more text, log-probabilities, or the end.
func (g *Generation) advance(ctx context.Context) (Delta, *Error) {
	g.takeBack()
	for !g.stopped {
		t, ok, err := g.stream.Next(ctx)
		if err != nil {
			return Delta{}, g.failed(ctx, err)
		}
		if !ok {
			return g.last(ctx)
		}
		if t.Progress {
			return Delta{Progress: true}, nil
		}
		g.trace.woken()
		g.take(t)
		for !g.stopped && g.stream.Ready() > 0 {
			if t, _, err = g.stream.Next(ctx); err != nil {
				return Delta{}, g.failed(ctx, err)
			}
			g.take(t)
		}
		if d, some := g.ready(); some {
			return d, nil
		}
	}
	// A stop string was found, and the text before it given out. The engine needs
	// up to a step to end the request; its counts are final only then.
	for {
		_, ok, err := g.stream.Next(ctx)
		if err != nil {
			return Delta{}, g.failed(ctx, err)
		}
		if !ok {
			return g.last(ctx)
		}
	}
}

// takeBack removes what the last Delta pointed to: the caller has used it by now.
func (g *Generation) takeBack() {
	g.total += g.given
	g.text = g.text[:copy(g.text, g.text[g.given:])]
	g.given = 0
	g.infos = g.infos[:copy(g.infos, g.infos[g.sent:])]
	g.sent = 0
	if !g.keepIDs {
		g.ids = g.ids[:0]
	}
	g.keepIDs = false
}

// take decodes one token and looks for stop strings.
func (g *Generation) take(t engine.Token) {
	if t.Prompt {
		g.note(t, 0)
		return
	}
	g.count++
	g.ids = append(g.ids, t.ID)
	from := len(g.text)
	g.note(t, g.total+from)
	if g.reading != nil && g.model.Tokenizer.IsSpecial(t.ID) {
		g.reading.marks = append(g.reading.marks, mark{g.total + from, string(g.model.Tokenizer.Piece(t.ID))})
		return
	}
	g.text = g.dec.Append(g.text, t.ID)
	g.search(from)
	g.watchTime(from)
}

// watchTime ends an answer that has taken longer than MaxPredict, once it has had
// a line feed.
func (g *Generation) watchTime(from int) {
	if g.job.MaxPredict <= 0 || g.stopped {
		return
	}
	if g.began.IsZero() {
		g.began = time.Now()
	}
	g.newLine = g.newLine || bytes.IndexByte(g.text[from:], '\n') >= 0
	if g.newLine && time.Since(g.began) > g.job.MaxPredict {
		g.stopped, g.late = true, true
		g.stream.Close()
	}
}

func (g *Generation) search(from int) {
	if len(g.stops.words) == 0 || len(g.text) == from || g.count <= g.job.Params.MinTokens && g.job.Params.MinTokens > 0 {
		return
	}
	at, word := g.stops.find(g.text, from)
	if at < 0 {
		return
	}
	g.stopped = true
	g.result.StopWord = word
	if g.job.IncludeStop {
		at += len(word)
	}
	g.text = g.text[:at]
	g.infos = slices.DeleteFunc(g.infos, func(i TokenInfo) bool { return !i.Prompt && i.Offset >= g.total+at })
	g.stream.Close()
}

// note keeps a token's log-probability, if the request wants those.
func (g *Generation) note(t engine.Token, offset int) {
	if !g.job.Params.Logprobs && !g.job.Echo {
		return
	}
	g.infos = append(g.infos, TokenInfo{ID: t.ID, Logprob: t.Logprob, Top: slices.Clone(t.Top), Offset: offset, Prompt: t.Prompt})
}

// ready returns what can be given out: all text but an end that may be the
// beginning of a stop string, and the tokens that the text came from.
func (g *Generation) ready() (Delta, bool) {
	g.given = len(g.text)
	if !g.stopped {
		g.given -= g.stops.held(g.text)
	}
	limit := g.total + g.given
	for g.sent < len(g.infos) && (g.infos[g.sent].Prompt || g.infos[g.sent].Offset < limit || g.stopped) {
		g.sent++
	}
	if g.given == 0 && g.sent == 0 && !g.stopped {
		return Delta{}, false
	}
	return Delta{Text: g.text[:g.given], Tokens: g.infos[:g.sent], IDs: g.ids}, true
}

// last returns what is left when the engine has ended the request, and fills in
// the result.
func (g *Generation) last(ctx context.Context) (Delta, *Error) {
	f := g.stream.Finish()
	if f.Reason == engine.Aborted && !g.stopped {
		if err := ctx.Err(); err != nil {
			return Delta{}, FromEngine(err)
		}
		return Delta{}, shuttingDown()
	}
	g.result.Reason = f.Reason.String()
	g.result.StopToken = f.StopToken
	g.result.NamedStop = slices.Contains(g.job.StopTokens, f.StopToken) && (g.job.IgnoreEOS || !g.model.Tokenizer.IsEOG(f.StopToken))
	g.result.Prompt, g.result.Cached, g.result.Completion = f.Usage.Prompt, f.Usage.Cached, f.Usage.Completion
	g.result.Timings, g.result.Preemptions = f.Timings, f.Preemptions
	if !g.stopped {
		from := len(g.text)
		g.text = g.dec.Flush(g.text)
		g.search(from)
	}
	if g.stopped {
		g.result.Reason = engine.Stop.String()
		if g.late {
			g.result.Reason = engine.Length.String()
		}
		g.result.Completion = g.count
	}
	g.given, g.sent = len(g.text), len(g.infos)
	g.trace.decoded(f.Timings)
	return Delta{Text: g.text, Tokens: g.infos, IDs: g.ids, Done: true}, nil
}

func (g *Generation) failed(ctx context.Context, err error) *Error {
	g.stream.Close()
	if ctxErr := ctx.Err(); ctxErr != nil && errors.Is(err, ctxErr) {
		return FromEngine(ctxErr)
	}
	return FromEngine(err)
}

// Result is valid after the Delta that is Done.
func (g *Generation) Result() *Result { return &g.result }

// Collected is a generation that was read to its end.
type Collected struct {
	Text      string // without reasoning and calls
	Reasoning string
	Calls     []chat.Call
	Tokens    []TokenInfo
	IDs       []int32
	Result    *Result

	text, reasoning []byte   // of the parts that have come
	arguments       [][]byte // of the calls that have begun
}

// CollectAll reads generations to their ends, all at once, so that each stop
// string ends its own without waiting for the others. The first error ends
// them all.
func CollectAll(ctx context.Context, gens []*Generation) ([]*Collected, *Error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait  sync.WaitGroup
		once  sync.Once
		first *Error
	)
	all := make([]*Collected, len(gens))
	collect := func(i int) {
		var err *Error
		if all[i], err = gens[i].collectSafely(ctx); err != nil {
			once.Do(func() {
				first = err
				cancel()
			})
		}
	}
	for i := range gens[1:] {
		wait.Go(func() { collect(i + 1) })
	}
	collect(0)
	wait.Wait()
	if first != nil {
		return nil, first
	}
	return all, nil
}

// collectSafely is Collect for a goroutine of its own: a panic there would end
// the process.
func (g *Generation) collectSafely(ctx context.Context) (c *Collected, err *Error) {
	defer func() {
		if v := recover(); v != nil {
			err = Panicked(v)
		}
	}()
	return g.Collect(ctx)
}

// Collect reads a generation to its end.
func (g *Generation) Collect(ctx context.Context) (*Collected, *Error) {
	defer g.Close()
	c := &Collected{Result: &g.result}
	for {
		d, err := g.Next(ctx)
		if err != nil {
			return nil, err
		}
		c.gather(d.Parts)
		c.Tokens = append(c.Tokens, d.Tokens...)
		c.IDs = append(c.IDs, d.IDs...)
		if d.Done {
			c.Text, c.Reasoning = string(c.text), string(c.reasoning)
			for i, a := range c.arguments {
				c.Calls[i].Arguments = string(a)
			}
			return c, nil
		}
	}
}
