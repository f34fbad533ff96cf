package serving

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
)

// intake bounds what it may cost to make a prompt out of a request: rendering
// and tokenising take processor time before the engine has had a say.
type intake struct {
	once    sync.Once
	longest int           // bytes of the longest token
	slots   chan struct{} // one for each request that makes a long prompt
	refused atomic.Uint64 // requests that Admit has turned away from a full queue
}

// short is how many bytes of a request become tokens in about a millisecond:
// such requests need not wait for their turn.
const short = 16 << 10

func (d *Deployment) prepare() {
	d.intake.once.Do(func() {
		d.intake.slots = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)/2))
		for id := range d.Tokenizer.Vocab() {
			d.intake.longest = max(d.intake.longest, len(d.Tokenizer.Piece(int32(id))))
		}
	})
}

// Prepare runs make, which turns so many bytes of a request into tokens. Few
// long requests are in it at once; the others wait until it is their turn.
func (d *Deployment) Prepare(ctx context.Context, bytes int, make func() *Error) *Error {
	d.prepare()
	if bytes > short {
		select {
		case d.intake.slots <- struct{}{}:
			defer func() { <-d.intake.slots }()
		case <-ctx.Done():
			return FromEngine(ctx.Err())
		}
	}
	return make()
}

// Admit refuses a request for n generations before it has cost anything, if
// they cannot run: 400 if so many never can, which names the parameter that asks
// for them, and 429 if the queue is full or the wait too long at present.
func (d *Deployment) Admit(call *Call, param string, n int) *Error {
	c := d.Engine.Config()
	if c.Encoder {
		return FromEngine(engine.ErrEncoder)
	}
	if most := c.MaxBatch + c.MaxQueue; n > most {
		return Bad(param, "%s asks for %d generations, but only %d can run or wait at once", param, n, most)
	}
	return d.room(call)
}

// room refuses a request with 429 if the queue is full at present, or if it would
// have to wait for too long.
func (d *Deployment) room(call *Call) *Error {
	if err := d.Engine.Admit(call.Client.Name, call.Client.Priority); err != nil {
		var busy *engine.BusyError
		if errors.As(err, &busy) {
			d.intake.refused.Add(1)
		}
		return FromEngine(err)
	}
	return nil
}

// Refused is how many requests a full queue has turned away.
func (d *Deployment) Refused() uint64 { return d.intake.refused.Load() + d.Engine.Stats().Refused }

// fits refuses a text of so many bytes if it cannot fit into the context,
// whatever its tokens are.
func (d *Deployment) fits(bytes int) *Error {
	d.prepare()
	if least := bytes / max(d.intake.longest, 1); least > d.Context() {
		return TooLong(least, d.Context(), "at least ")
	}
	return nil
}

// Encode turns a prompt's text into tokens; special adds those that the model
// wants around every text. A text that cannot fit is refused unread.
func (d *Deployment) Encode(text string, special bool) ([]int32, *Error) {
	if err := d.fits(len(text)); err != nil {
		return nil, err
	}
	ids, err := d.Tokenizer.EncodeLimit(text, special, true, d.most())
	return ids, d.fitting(err)
}

// EncodePrompt turns a rendered conversation into tokens. One that cannot fit
// is refused unread.
func (d *Deployment) EncodePrompt(p chat.Prompt) ([]int32, *Error) {
	if err := d.fits(len(p.Text)); err != nil {
		return nil, err
	}
	ids, err := d.encodeChat(p, d.most())
	return ids, d.fitting(err)
}

// most is how many tokens of a text are counted. One that is somewhat too long is
// told its length; of a longer one the rest is not worth its processor time.
func (d *Deployment) most() int { return 4 * d.Context() }

// fitting is the answer to what the tokenizer did not take.
func (d *Deployment) fitting(err error) *Error {
	if err != nil {
		return TooLong(d.most(), d.Context(), "more than ")
	}
	return nil
}
