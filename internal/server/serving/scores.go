package serving

import (
	"context"
	"math"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// Scorer reports whether the model scores pairs of texts itself.
func (d *Deployment) Scorer() bool { return d.Config.Labels > 0 }

// Scores has a reranker score each text on the right with the one on the left, or with
// its own. The scores are between 0 and 1, or with Raw on the right as the model made
// them.
func (d *Deployment) Scores(ctx context.Context, call *Call, left, right *Inputs) (scores []float64, tokens int, err *Error) {
	if d.Config.Labels != 1 {
		return nil, 0, Bad("model", "this model sorts texts into %d classes: there is no score to order them by", d.Config.Labels)
	}
	bytes := 0
	for _, in := range []*Inputs{left, right} {
		if err := in.check(d); err != nil {
			return nil, 0, err
		}
		bytes += in.bytes()
	}
	if err := d.room(call); err != nil {
		return nil, 0, err
	}
	prompts := make([][]int32, len(right.Texts))
	err = d.Prepare(ctx, bytes+len(prompts)*len(left.Texts[0]), func() (err *Error) {
		for i, text := range right.Texts {
			if prompts[i], err = d.pair(left.Texts[min(i, len(left.Texts)-1)], text, right.Truncate); err != nil {
				err.Param = right.name(i)
				return err
			}
			tokens += len(prompts[i])
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	vectors, err := d.embed(ctx, call, prompts, d.embedding(call, left))
	if err != nil {
		return nil, 0, err
	}
	scores = make([]float64, len(vectors))
	for i, v := range vectors {
		scores[i] = float64(v[0])
		if !right.Raw && !d.Config.Probable {
			scores[i] = 1 / (1 + math.Exp(-scores[i]))
		}
	}
	return scores, tokens, nil
}

// embedding is the engine's request for an embedding, without its prompt.
func (d *Deployment) embedding(call *Call, in *Inputs) engine.Request {
	r := engine.Request{Pooling: d.Pooling(), Wake: engine.WakeEnd, Priority: call.Client.Priority, Client: call.Client.Name}
	if in.Priority > 0 { // as in vLLM, larger numbers are less urgent
		r.Priority = min(r.Priority, engine.Low)
	}
	return r
}

// pair makes the tokens of two texts: in the words of the model's template, or one
// after the other. With truncate a document that is too long loses its end.
func (d *Deployment) pair(query, document string, truncate bool) ([]int32, *Error) {
	if d.PairTemplate != "" {
		return d.EncodePrompt(fill(d.PairTemplate, query, document))
	}
	if truncate {
		ids, _ := d.Tokenizer.EncodePair(query, document, 0)
		if len(ids) > d.Context() {
			ids = d.truncate(ids, d.Context())
		}
		return ids, nil
	}
	if err := d.fits(len(query) + len(document)); err != nil {
		return nil, err
	}
	ids, err := d.Tokenizer.EncodePair(query, document, d.most())
	if err != nil {
		return nil, d.fitting(err)
	}
	if len(ids) > d.Context() {
		return nil, TooLong(len(ids), d.Context(), "")
	}
	return ids, nil
}

// fill puts a query and a document into a template, and notes where they are: no
// control token is recognised in them.
func fill(template, query, document string) (p chat.Prompt) {
	for {
		at, name, value := len(template), "", ""
		for _, part := range [][2]string{{"{query}", query}, {"{document}", document}} {
			if i := strings.Index(template, part[0]); i >= 0 && i < at {
				at, name, value = i, part[0], part[1]
			}
		}
		p.Text += template[:at]
		if name == "" {
			return p
		}
		p.Client = append(p.Client, tokenizer.Range{Start: len(p.Text), End: len(p.Text) + len(value)})
		p.Text += value
		template = template[at+len(name):]
	}
}

// QwenPairTemplate is how Qwen3's rerankers were trained to be asked. Their files
// often lack it.
const QwenPairTemplate = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. " +
	"Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n" +
	"<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
