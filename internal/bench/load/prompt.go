package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// Prompts is a set of conversations. It must give the same conversation for the same number, and may be asked from many
// goroutines.
type Prompts interface {
	Conversation(i int) Conversation
}

// Conversation has one or more turns. Each turn is a request that also sends the earlier turns and their answers.
type Conversation struct {
	Turns []Turn
}

// Turn is what the user says next, or a whole list of messages.
type Turn struct {
	Text      string
	Messages  []Message // instead of Text
	MaxTokens int       // 0: the target's
}

// history is a conversation so far.
type history struct {
	past []Message
}

func newHistory(c Conversation) *history { return &history{make([]Message, 0, 2*len(c.Turns))} }

func (h *history) messages(t Turn) []Message {
	if t.Messages != nil {
		return append(h.past[:len(h.past):len(h.past)], t.Messages...)
	}
	return append(h.past[:len(h.past):len(h.past)], Message{"user", t.Text})
}

func (h *history) add(t Turn, answer string) {
	h.past = append(h.messages(t), Message{"assistant", answer})
}

// Fixed sends the same prompt every time. A server that caches prefixes computes it only once.
type Fixed string

// Conversation implements Prompts.
func (f Fixed) Conversation(int) Conversation { return single(string(f)) }

func single(text string) Conversation { return Conversation{Turns: []Turn{{Text: text}}} }

// Words makes prompts of random words. Prompts of different seeds begin differently, so that a cache of prefixes does not help a second
// run.
type Words struct {
	Words  int    // of each turn
	Prefix int    // words at the start that all conversations have in common
	Turns  int    // of a conversation; 0 counts as 1
	Seed   uint64 // vary it from run to run
}

// Conversation implements Prompts.
func (w Words) Conversation(i int) Conversation {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(i)+1))
	var c Conversation
	for turn := range max(w.Turns, 1) {
		var b strings.Builder
		if turn == 0 && w.Prefix > 0 {
			writeWords(&b, rand.New(rand.NewPCG(w.Seed, 0)), w.Prefix)
			b.WriteByte(' ')
		}
		writeWords(&b, rng, w.Words)
		c.Turns = append(c.Turns, Turn{Text: b.String()})
	}
	return c
}

func writeWords(b *strings.Builder, rng *rand.Rand, n int) {
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(vocabulary[rng.IntN(len(vocabulary))])
	}
}

// vocabulary: common words, most of them one token in most vocabularies.
var vocabulary = strings.Fields(`time year people way day man thing woman life child world school state family student group
country problem hand part place case week company system program question work government number night point home water room
mother area money story fact month lot right study book eye job word business issue side kind head house service friend father
power hour game line end member law car city community name president team minute idea body information back parent face
level office door health person art war history party result change morning reason research girl guy moment air teacher force
education foot boy age policy process music market sense nation plan college interest death experience effect use class control
field development role effort rate heart drug show leader light voice wife police mind price report decision son view
relationship town road arm difference value building action season society tax director position player record paper space
ground form event official matter center couple site project activity star table need court oil situation cost industry figure
street image phone data picture practice piece land product doctor wall patient worker news test movie north love step`)

// List is a set of conversations from a file. After the last one it begins again.
type List []Conversation

// Conversation implements Prompts.
func (l List) Conversation(i int) Conversation { return l[i%len(l)] }

// maxLine bounds one line of a prompt file.
const maxLine = 16 << 20

// ReadFile reads a JSONL file of prompts. A line is {"prompt":"…"} or {"text":"…"}, {"messages":[{"role","content"}…]}, or
// {"conversations":[{"from","value"}…]} as ShareGPT has it, each with an optional "max_tokens"; or a JSON string. In a
// conversation each user message becomes a turn, and the server under test answers it.
func ReadFile(path string) (List, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("prompts: %w", err)
	}
	defer f.Close()
	var list List
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 {
			continue
		}
		c, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("prompts: %s line %d: %w", path, n, err)
		}
		list = append(list, c)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("prompts: %s: %w", path, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("prompts: %s holds none", path)
	}
	return list, nil
}

func parseLine(line []byte) (Conversation, error) {
	if line[0] == '"' {
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			return Conversation{}, err
		}
		return single(text), nil
	}
	var v struct {
		Prompt        string    `json:"prompt"`
		Text          string    `json:"text"`
		Messages      []Message `json:"messages"`
		Conversations []struct {
			From  string `json:"from"`
			Value string `json:"value"`
		} `json:"conversations"`
		MaxTokens int `json:"max_tokens"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return Conversation{}, err
	}
	for _, m := range v.Conversations {
		role := "user"
		if m.From == "gpt" || m.From == "assistant" {
			role = "assistant"
		} else if m.From == "system" {
			role = "system"
		}
		v.Messages = append(v.Messages, Message{role, m.Value})
	}
	switch {
	case len(v.Messages) > 0:
		return turnsOf(v.Messages, v.MaxTokens)
	case v.Prompt+v.Text != "":
		return Conversation{Turns: []Turn{{Text: v.Prompt + v.Text, MaxTokens: v.MaxTokens}}}, nil
	}
	return Conversation{}, errors.New("neither prompt, text, messages nor conversations is set")
}

// turnsOf makes a turn of each user message. Recorded answers are dropped: the server gives its own.
func turnsOf(messages []Message, tokens int) (Conversation, error) {
	var c Conversation
	var pending []Message
	for _, m := range messages {
		if m.Role == "assistant" {
			continue
		}
		pending = append(pending, m)
		if m.Role == "user" {
			c.Turns = append(c.Turns, Turn{Messages: pending, MaxTokens: tokens})
			pending = nil
		}
	}
	if len(c.Turns) == 0 {
		return c, errors.New("the messages hold none of the user")
	}
	return c, nil
}
