package browser

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

const (
	vocab     = 400
	byteToken = 3 // the token of byte 0 in tinymodel's vocabulary
	endToken  = 2 // <|im_end|>
)

// actor is a model that says what a script has for the last message. Its cache holds
// the tokens themselves, which it reads through the block tables as attention reads
// keys, so what it says depends on nothing but the prompt.
type actor struct {
	tok    *tokenizer.Tokenizer
	cache  []int32 // [blocks*BlockTokens]
	logits []float32
	delay  atomic.Int64 // of a step

	mu      sync.Mutex
	replies map[string]string // of a message
	prompts []string          // the last ones, whole
}

func newActor(tok *tokenizer.Tokenizer, blocks int) *actor {
	return &actor{tok: tok, cache: make([]int32, blocks*batch.BlockTokens), logits: make([]float32, 64*vocab), replies: map[string]string{}}
}

// on sets the answer to a message.
func (a *actor) on(message, reply string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replies[message] = reply
}

// prompt is the prompt of the last request, up to the answer.
func (a *actor) prompt() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.prompts) == 0 {
		return ""
	}
	return a.prompts[len(a.prompts)-1]
}

func (a *actor) Vocab() int         { return vocab }
func (a *actor) MaxRows() int       { return 256 }
func (a *actor) MaxLogits() int     { return 64 }
func (a *actor) NotFinite() []int32 { return nil }

func (a *actor) Forward(b *batch.Batch) []float32 {
	if d := a.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	next := 0
	for i := range b.Seqs() {
		at := func(pos int32) *int32 {
			return &a.cache[int(b.Blocks[i][pos/batch.BlockTokens])*batch.BlockTokens+int(pos%batch.BlockTokens)]
		}
		for r := b.Start[i]; r < b.Start[i+1]; r++ {
			*at(b.Positions[r]) = b.Tokens[r]
			if next >= len(b.Logits) || b.Logits[next] != r {
				continue
			}
			var text strings.Builder
			for pos := int32(0); pos <= b.Positions[r]; pos++ {
				text.Write(a.tok.Piece(*at(pos)))
			}
			row := a.logits[next*vocab : (next+1)*vocab]
			clear(row)
			token := a.next(text.String())
			// The next letters of the alphabet come second, third and fourth.
			for k := range int32(4) {
				row[(token+k)%vocab] = float32(12 - 2*k)
			}
			next++
		}
	}
	return a.logits[:next*vocab]
}

// next is the token that follows a text: the next byte of the script.
func (a *actor) next(text string) int32 {
	const turn = "<|im_start|>assistant\n"
	head, said := text, ""
	if i := strings.LastIndex(text, turn); i >= 0 {
		head, said = text[:i], text[i+len(turn):]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.prompts) == 0 || a.prompts[len(a.prompts)-1] != head {
		a.prompts = append(a.prompts, head)
	}
	message := head
	if i := strings.LastIndex(head, "<|im_start|>"); i >= 0 {
		_, message, _ = strings.Cut(head[i:], "\n")
	}
	message = strings.TrimSpace(strings.ReplaceAll(message, "<|im_end|>", ""))
	reply, ok := a.replies[message]
	if !ok {
		reply = "You said: " + message
	}
	if len(said) >= len(reply) {
		return endToken
	}
	return byteToken + int32(reply[len(said)])
}
