package kvevents

import (
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// asked is what a request for batches gets: their numbers, and the kinds of their
// events.
func asked(t *testing.T, p *Publisher, request ...[]byte) (numbers []uint64, kinds []string) {
	t.Helper()
	err := p.answer(request, func(frames ...[]byte) error {
		numbers = append(numbers, binary.BigEndian.Uint64(frames[0]))
		if len(frames[1]) == 0 {
			return nil
		}
		batch, _, err := msgp.ReadIntfBytes(frames[1])
		if err != nil {
			return err
		}
		for _, e := range batch.([]any)[1].([]any) {
			kinds = append(kinds, e.(map[string]any)["type"].(string))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return numbers, kinds
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Each model has its own topic and its own numbers, begins with an empty cache and ends
// with one; batches can be had again from any number on.
func TestFeeds(t *testing.T) {
	deploy := func(id string) *serving.Deployment {
		e, err := engine.New(engine.NewMock(engine.MockConfig{Vocab: 64, Blocks: 64}), nil, engine.Config{Blocks: 64, Context: 512, PrefixCache: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		return &serving.Deployment{ID: id, Engine: e}
	}
	ask := func(d *serving.Deployment, from int32) {
		prompt := make([]int32, 40)
		for i := range prompt {
			prompt[i] = (from + int32(i)) % 64
		}
		s, err := d.Engine.Submit(t.Context(), engine.Request{Prompt: prompt, MaxTokens: 1})
		if err != nil {
			t.Fatal(err)
		}
		for ok := true; ok; {
			if _, ok, err = s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a, b := deploy("a"), deploy("b")
	models := []*serving.Deployment{a}
	p := Start(Config{Events: l, Name: "here:1", Models: func() []*serving.Deployment { return nil }})
	defer p.pub.Close()
	p.stop() // rounds are the test's
	<-p.ended
	p.cfg.Models = func() []*serving.Deployment { return slices.Clone(models) }

	p.round(t.Context())
	ask(a, 0)
	p.round(t.Context())
	p.round(t.Context()) // nothing new
	if n, kinds := asked(t, p, number(0)); !slices.Equal(n, []uint64{0, 1, ^uint64(0)}) || !slices.Equal(kinds, []string{cleared, stored}) {
		t.Errorf("one model: %v %v", n, kinds)
	}
	models = []*serving.Deployment{a, b}
	ask(b, 5)
	ask(a, 9)
	p.round(t.Context())
	if n, kinds := asked(t, p, number(2)); !slices.Equal(n, []uint64{2, ^uint64(0)}) || !slices.Equal(kinds, []string{stored}) {
		t.Errorf("from the third on: %v %v", n, kinds)
	}
	if n, kinds := asked(t, p, number(0), []byte("kv@here:1@b")); !slices.Equal(n, []uint64{0, 1, ^uint64(0)}) || !slices.Equal(kinds, []string{cleared, stored}) {
		t.Errorf("the other model: %v %v", n, kinds)
	}
	if _, err := a.Engine.FlushCache(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.round(t.Context())
	if _, kinds := asked(t, p, number(3)); !slices.Equal(kinds, []string{cleared}) {
		t.Errorf("flushed: %v", kinds)
	}
	models = []*serving.Deployment{b}
	p.round(t.Context())
	if n, kinds := asked(t, p, number(0), []byte("kv@here:1@a")); !slices.Equal(n, []uint64{^uint64(0)}) || kinds != nil {
		t.Errorf("a model that is gone: %v %v", n, kinds)
	}
	if n, _ := asked(t, p, []byte("12")); n != nil {
		t.Errorf("a request without a number is answered with %v", n)
	}
	// What is kept is bounded, and the numbers go on.
	for range kept + 5 {
		p.send(p.feeds[0], []event{{kind: removed, hashes: []uint64{1}}})
	}
	if n, _ := asked(t, p, number(0)); len(n) != kept+1 || n[0] != 7 || n[kept-1] != kept+6 {
		t.Errorf("kept %d batches, from %d to %d", len(n)-1, n[0], n[len(n)-2])
	}
	// Batches that few large ones push out leave nothing behind in memory.
	old := p.feeds[0].batch
	large := slices.Repeat([]uint64{1 << 63}, keptSize/9) // 9 bytes each
	for range 2 {
		p.send(p.feeds[0], []event{{kind: removed, hashes: large}})
	}
	if held := slices.IndexFunc(old, func(b []byte) bool { return b != nil }); held >= 0 {
		t.Errorf("batch %d of %d is held and cannot be had", held, len(old))
	}
}
