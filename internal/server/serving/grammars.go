package serving

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/penstock-llm/penstock/internal/chat/answer"
	"github.com/penstock-llm/penstock/internal/grammar"
)

// grammars are the grammars of answers that a deployment has compiled last.
type grammars struct {
	mu     sync.Mutex
	recent []*compiled // the latest last
	once   sync.Once
	vocab  *grammar.Vocabulary
	marks  map[string]int32
	most   int // bytes of the longest mark
}

// compiled is a grammar of answers.
type compiled struct {
	key   [sha256.Size]byte
	g     *grammar.Grammar
	loose []*answer.ToolError // the tools whose arguments it does not restrict
}

const (
	maxGrammars = 32        // that are kept, each with the masks that it has needed
	maxBytes    = 256 << 20 // of them
	maxTools    = 512       // that a grammar is made for
)

// formGrammar compiles a form, or finds it compiled.
func (d *Deployment) formGrammar(ctx context.Context, f *form) (*compiled, *Error) {
	k := newKey()
	k.add("form", string([]byte{byte(f.notation)}), string(f.text))
	return d.grammar(ctx, k.sum(), func() (*compiled, *Error) {
		g, err := f.compile()
		if err != nil {
			return nil, f.bad(err)
		}
		return &compiled{g: g}, nil
	})
}

func (f *form) bad(err error) *Error { return Bad(f.param, "%s: %s", f.param, err.Error()) }

// answerGrammar compiles the grammar of an answer with tools or reasoning, or finds
// it compiled. Without a form and strict tools, it may be that there is none: then
// the error says why, and answers are free.
func (d *Deployment) answerGrammar(ctx context.Context, format *answer.Format, s answer.Shape, f *form) (*compiled, error) {
	k := newKey()
	k.add("answer", format.Name, fmt.Sprint(s.Required, s.One, s.InReasoning, s.Thought))
	if s.Reasoning != nil {
		k.add(s.Reasoning.Open, s.Reasoning.Close)
	}
	for _, t := range s.Tools {
		k.add("tool", t.Name, string(t.Parameters), fmt.Sprint(t.Strict))
	}
	var formErr error
	if f != nil {
		k.add("form", string([]byte{byte(f.notation)}), string(f.text))
		s.Form = func(b *grammar.Builder) (n grammar.Node, err error) {
			n, formErr = f.add(b)
			return n, formErr
		}
	}
	s.Spell = d.spell
	var failure error
	c, failed := d.grammar(ctx, k.sum(), func() (*compiled, *Error) {
		if len(s.Tools) > maxTools {
			failure = fmt.Errorf("there are more than %d tools", maxTools)
			return nil, nil
		}
		g, loose, err := format.Grammar(s)
		if formErr != nil {
			return nil, f.bad(formErr)
		}
		if err != nil {
			failure = err
			return nil, nil
		}
		return &compiled{g: g, loose: loose}, nil
	})
	if failed != nil {
		return nil, failed
	}
	return c, failure
}

// grammar finds what was compiled under a key, or has it made.
func (d *Deployment) grammar(ctx context.Context, key [sha256.Size]byte, compile func() (*compiled, *Error)) (c *compiled, failed *Error) {
	if c := d.grammars.find(key); c != nil {
		return c, nil
	}
	failed = d.Prepare(ctx, short+1, func() (err *Error) {
		if c, err = compile(); c != nil {
			c.key = key
			d.grammars.keep(c)
		}
		return err
	})
	return c, failed
}

func (r *grammars) find(key [sha256.Size]byte) *compiled {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.recent, func(c *compiled) bool { return c.key == key })
	if i < 0 {
		return nil
	}
	c := r.recent[i]
	r.recent = append(slices.Delete(r.recent, i, i+1), c)
	return c
}

func (r *grammars) keep(c *compiled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bytes := c.g.Bytes()
	for _, o := range r.recent {
		bytes += o.g.Bytes()
	}
	for len(r.recent) > 0 && (len(r.recent) == maxGrammars || bytes > maxBytes) {
		bytes -= r.recent[0].g.Bytes()
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	r.recent = append(r.recent, c)
}

// key is the hash of texts, each with its length.
type key struct{ text []byte }

func newKey() *key { return &key{} }

func (k *key) add(texts ...string) {
	for _, t := range texts {
		k.text = append(binary.AppendUvarint(k.text, uint64(len(t))), t...)
	}
}

func (k *key) sum() [sha256.Size]byte { return sha256.Sum256(k.text) }

// markByte begins what stands for a control token in the text of a grammar. No text
// has this byte, so that a control token is no text, and no text is one.
const markByte = 0xFF

// marked is a control token in the text of a grammar.
func marked(id int32) []byte {
	return []byte{markByte, byte(id >> 14 & 0x7F), byte(id >> 7 & 0x7F), byte(id & 0x7F)}
}

// vocabulary is the model's tokens, arranged for grammars.
func (d *Deployment) vocabulary() *grammar.Vocabulary {
	r := &d.grammars
	r.once.Do(func() {
		pieces := make([][]byte, d.Tokenizer.Vocab())
		r.marks = map[string]int32{}
		for i := range pieces {
			id := int32(i)
			piece := d.Tokenizer.Piece(id)
			switch {
			case d.Tokenizer.IsSpecial(id):
				pieces[id] = marked(id)
				if len(piece) > 0 {
					r.marks[string(piece)] = id
					r.most = max(r.most, len(piece))
				}
			case slices.Contains(piece, markByte): // no text has it
				continue
			default:
				pieces[id] = piece
			}
		}
		r.vocab = grammar.NewVocabulary(pieces, d.Tokenizer.EOG())
	})
	return r.vocab
}

// spell is a text with the control tokens that are named in it.
func (d *Deployment) spell(text string) string {
	d.vocabulary()
	r := &d.grammars
	var out strings.Builder
	for i := 0; i < len(text); {
		n := min(r.most, len(text)-i)
		for ; n > 0; n-- {
			if id, ok := r.marks[text[i:i+n]]; ok {
				out.Write(marked(id))
				break
			}
		}
		if n == 0 {
			out.WriteByte(text[i])
			n = 1
		}
		i += n
	}
	return out.String()
}

// encodeForced tokenises what must come next in a text of a grammar.
func (d *Deployment) encodeForced(text []byte) (ids []int32) {
	for len(text) > 0 {
		n := slices.Index(text, markByte)
		if n < 0 {
			n = len(text)
		}
		if n > 0 {
			ids = append(ids, d.Tokenizer.Encode(string(text[:n]), false, true)...)
		}
		if text = text[n:]; len(text) < len(marked(0)) {
			return ids // the rest of a mark that is not whole is not forced
		}
		ids = append(ids, int32(text[1])<<14|int32(text[2])<<7|int32(text[3]))
		text = text[len(marked(0)):]
	}
	return ids
}

// warn tells the client what could not be done as it asked: in a header, or in a trailer
// if the stream has begun with signs of life.
func (c *Call) warn(format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...))
	const most = 500 // bytes of one header
	name := "X-Penstock-Warning"
	if c.opening != nil {
		name = http.TrailerPrefix + name
	}
	c.W.Header().Add(name, text[:min(len(text), most)])
}

// restrict gives a job the grammar of its answers. loosely says that without one,
// the answers are free.
func (m *Deployment) restrict(call *Call, j *Job, r *Reading, s answer.Shape) *Error {
	c, err := m.answerGrammar(call.R.Context(), r.format, s, j.form)
	var failed *Error
	var tool *answer.ToolError
	switch {
	case err == nil:
		j.grammar = c.g
		r.options.Exact = true
		for _, t := range c.loose {
			call.warn("%s; its arguments are any JSON object", t)
		}
		return nil
	case errors.As(err, &failed):
		return failed
	case errors.As(err, &tool):
		i := slices.IndexFunc(s.Tools, func(t answer.Tool) bool { return t.Name == tool.Tool })
		return Bad("tools", "tools[%d]: %s: with strict, the schema of a tool must be one that this server can hold the model to", i, tool)
	case j.form != nil:
		return j.form.bad(err)
	case s.Required:
		return Bad("tool_choice", "the tools cannot be enforced: %s", err)
	}
	call.warn("the calls are not held to the tools' schemas: %s", err)
	return nil
}
