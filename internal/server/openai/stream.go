package openai

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// form is what differs between the streams of chat and text completions. All
// its methods append to an event; the envelope around it is constant.
type form interface {
	object() string
	// open appends what comes before a choice's first text, or nothing.
	open(s *stream, index int)
	// text appends an event with text and log-probabilities.
	text(s *stream, index int, d serving.Delta)
	// close appends a choice's last event.
	close(s *stream, index int, reason string)
}

// stream writes the events of one request. The choices of a request share it.
type stream struct {
	mu       sync.Mutex // held while events are appended and sent
	quiet    bool       // no event yet, so that pings keep the connection alive
	interval time.Duration
	events   *serving.Events
	form     form
	head     []byte // data: {…"choices":[{"index":
	tail     []byte // }]}, with usage null where the client wants usage
	logprobs bool
	usage    bool
	model    *serving.Deployment
}

func newStream(call *serving.Call, f form, id string, m *serving.Deployment, r *api.Sampling) *stream {
	s := &stream{quiet: true, interval: call.App.PingInterval, events: call.Events(), form: f, model: m, usage: r.StreamOptions != nil && r.StreamOptions.IncludeUsage}
	s.head = append(s.head, `data: {"id":"`...)
	s.head = append(s.head, id...)
	s.head = append(s.head, `","object":"`...)
	s.head = append(s.head, f.object()...)
	s.head = append(s.head, `","created":`...)
	s.head = strconv.AppendInt(s.head, call.Start.Unix(), 10)
	s.head = append(s.head, `,"model":`...)
	s.head = serving.AppendQuoted(s.head, m.ID)
	s.head = append(s.head, `,"choices":[`...)
	s.tail = append(s.tail, "}]}\n\n"...)
	if s.usage {
		s.tail = append(s.tail[:0], "}],\"usage\":null}\n\n"...)
	}
	return s
}

// run sends the generations' events until all have ended. An error before the
// first event is returned; a later one becomes an event.
func (s *stream) run(ctx context.Context, gens []*serving.Generation, perPrompt int) *serving.Error {
	defer s.events.Close()
	if s.interval > 0 {
		pings := time.AfterFunc(s.interval, s.ping)
		defer pings.Stop()
	}
	defer s.speak() // before events are closed
	var err *serving.Error
	if len(gens) == 1 {
		err = s.pump(ctx, 0, gens[0])
	} else {
		err = s.pumpAll(ctx, gens)
	}
	if err != nil {
		return s.fail(err)
	}
	if s.usage {
		results := make([]*serving.Result, len(gens))
		for i, g := range gens {
			results[i] = g.Result()
		}
		s.appendUsage(usage(results, perPrompt))
	}
	s.events.Buf = append(s.events.Buf, "data: [DONE]\n\n"...)
	s.events.Flush()
	return nil
}

// ping sends a comment while a long prompt is computed, and again later.
// Proxies and clients give up connections on which nothing happens.
func (s *stream) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.quiet {
		return
	}
	s.events.Buf = append(s.events.Buf, ": ping\n\n"...)
	if s.events.Flush() {
		time.AfterFunc(s.interval, s.ping)
	}
}

// speak ends the pings.
func (s *stream) speak() {
	s.mu.Lock()
	s.quiet = false
	s.mu.Unlock()
}

// pumpAll pumps several generations at once; the first error ends them all.
func (s *stream) pumpAll(ctx context.Context, gens []*serving.Generation) *serving.Error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait  sync.WaitGroup
		once  sync.Once
		first *serving.Error
	)
	for i, g := range gens {
		wait.Go(func() {
			if err := s.pump(ctx, i, g); err != nil {
				once.Do(func() {
					first = err
					cancel()
				})
			}
		})
	}
	wait.Wait()
	return first
}

// pump sends the events of one choice: one write for all tokens that are there.
// The choice's last event is sent together with what follows it.
func (s *stream) pump(ctx context.Context, index int, g *serving.Generation) *serving.Error {
	opened := false
	for {
		d, err := g.Next(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.quiet = false
		if !opened {
			opened = true
			s.form.open(s, index)
		}
		if len(d.Text) > 0 || len(d.Tokens) > 0 {
			s.form.text(s, index, d)
		}
		sent := true
		if d.Done {
			s.form.close(s, index, g.Result().Reason)
		} else {
			sent = s.events.Flush()
		}
		s.mu.Unlock()
		if !sent {
			return serving.Gone()
		}
		if d.Done {
			return nil
		}
	}
}

// begin appends an event up to the choice's index.
func (s *stream) begin(index int) {
	b := append(s.events.Buf, s.head...)
	b = append(b, `{"index":`...)
	s.events.Buf = strconv.AppendInt(b, int64(index), 10)
}

func (s *stream) end() { s.events.Buf = append(s.events.Buf, s.tail...) }

// appendLogprobs appends the logprobs member; l may be nil.
func (s *stream) appendLogprobs(l any) {
	if l == nil {
		s.events.Buf = append(s.events.Buf, `,"logprobs":null`...)
		return
	}
	b, _ := json.Marshal(l) // finite numbers and strings only
	s.events.Buf = append(s.events.Buf, `,"logprobs":`...)
	s.events.Buf = append(s.events.Buf, b...)
}

func (s *stream) appendUsage(u *api.Usage) {
	b, _ := json.Marshal(u)
	s.events.Buf = append(s.events.Buf, s.head...)
	s.events.Buf = append(s.events.Buf, `],"usage":`...)
	s.events.Buf = append(s.events.Buf, b...)
	s.events.Buf = append(s.events.Buf, "}\n\n"...)
}

// fail ends the stream with an error: as the answer's status if nothing was
// sent yet, else as an event.
func (s *stream) fail(err *serving.Error) *serving.Error {
	if !s.events.Begun() {
		return err
	}
	b, _ := json.Marshal(errorBody(err))
	s.events.Buf = append(s.events.Buf[:0], "data: "...)
	s.events.Buf = append(s.events.Buf, b...)
	s.events.Buf = append(s.events.Buf, "\n\ndata: [DONE]\n\n"...)
	s.events.Flush()
	return nil
}

// chatForm are the events of a chat completion.
type chatForm struct{}

func (chatForm) object() string { return "chat.completion.chunk" }

func (chatForm) open(s *stream, index int) {
	s.begin(index)
	s.events.Buf = append(s.events.Buf, `,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null`...)
	s.end()
}

func (chatForm) text(s *stream, index int, d serving.Delta) {
	s.begin(index)
	b := append(s.events.Buf, `,"delta":{"content":"`...)
	b = serving.AppendJSON(b, d.Text)
	s.events.Buf = append(b, `"}`...)
	if s.logprobs {
		s.appendLogprobs(chatLogprobs(s.model, d.Tokens))
	} else {
		s.appendLogprobs(nil)
	}
	s.events.Buf = append(s.events.Buf, `,"finish_reason":null`...)
	s.end()
}

func (chatForm) close(s *stream, index int, reason string) {
	s.begin(index)
	s.events.Buf = append(s.events.Buf, `,"delta":{},"logprobs":null,"finish_reason":"`...)
	s.events.Buf = append(s.events.Buf, reason...)
	s.events.Buf = append(s.events.Buf, '"')
	s.end()
}

// textForm are the events of a text completion.
type textForm struct {
	work     *work
	logprobs []*textLogprobs // of each choice, where the client wants them
}

func newTextForm(m *serving.Deployment, w *work, logprobs bool) *textForm {
	f := &textForm{work: w}
	if logprobs {
		for i := range w.jobs {
			f.logprobs = append(f.logprobs, newTextLogprobs(m, w.echo(i)))
		}
	}
	return f
}

func (*textForm) object() string { return "text_completion" }

func (f *textForm) open(s *stream, index int) {
	if echoed := f.work.echo(index); echoed != "" {
		f.event(s, index, []byte(echoed), nil, "null")
	}
}

func (f *textForm) text(s *stream, index int, d serving.Delta) {
	var l any
	if f.logprobs != nil {
		f.logprobs[index].text.count(string(d.Text))
		l = f.logprobs[index].add(d.Tokens)
	}
	f.event(s, index, d.Text, l, "null")
}

func (f *textForm) close(s *stream, index int, reason string) {
	f.event(s, index, nil, nil, `"`+reason+`"`)
}

func (*textForm) event(s *stream, index int, text []byte, logprobs any, reason string) {
	s.begin(index)
	b := append(s.events.Buf, `,"text":"`...)
	b = serving.AppendJSON(b, text)
	s.events.Buf = append(b, '"')
	s.appendLogprobs(logprobs)
	s.events.Buf = append(s.events.Buf, `,"finish_reason":`...)
	s.events.Buf = append(s.events.Buf, reason...)
	s.end()
}
