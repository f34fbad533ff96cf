package layers

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/penstock-llm/penstock/internal/batch"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/kernel"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/tinymodel"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// mockJob describes an executor that computes nothing.
type mockJob struct {
	Step time.Duration `json:"step"` // how long a step takes; 0: as short as possible
}

func tokenizerName(path string) string {
	if path == "" {
		return "tiny"
	}
	return filepath.Base(path)
}

// mockParts is an engine over the executor that computes nothing, with the tokenizer of a model.
type mockParts struct {
	file   *gguf.File
	tok    *tokenizer.Tokenizer
	engine *engine.Engine
}

func (j *mockJob) open(s *Scenario) (*mockParts, error) {
	instance.Tune(s.Threads)
	var p mockParts
	var err error
	if s.Model == "" {
		p.file, err = tinymodel.Open(tinymodel.Options{})
	} else {
		p.file, err = gguf.Open(s.Model)
	}
	if err != nil {
		return nil, err
	}
	if p.tok, err = tokenizer.New(p.file); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	tier, err := cpu.ParseTier(s.Tier)
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	const context = 1024 // room for the template around the prompt
	blocks := s.MaxBatch * context / batch.BlockTokens
	first, last := letters(p.tok)
	x := engine.NewMock(engine.MockConfig{Vocab: p.tok.Vocab(), Blocks: blocks, MaxLogits: max(64, s.MaxBatch), StepTime: j.Step, First: first, Last: last})
	p.engine, err = engine.New(x, nil, engine.Config{Blocks: blocks, Context: context, MaxBatch: s.MaxBatch, MaxQueue: max(256, s.Concurrency), Kernels: kernel.New(tier)})
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return &p, nil
}

// letters finds the longest run of token ids that are plain ASCII text. The mock generates only these: each is a whole character, so that
// every token becomes an event of its own in a stream.
func letters(t *tokenizer.Tokenizer) (first, last int32) {
	var from, bestFrom, bestLast int32
	for id := int32(0); id <= int32(t.Vocab()); id++ {
		if id < int32(t.Vocab()) && !t.IsSpecial(id) && !t.IsEOG(id) && plain(t.Piece(id)) {
			continue
		}
		if id-from > bestLast-bestFrom {
			bestFrom, bestLast = from, id
		}
		from = id + 1
	}
	return bestFrom, bestLast
}

func plain(piece []byte) bool {
	for _, c := range piece {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(piece) > 0
}

func (p *mockParts) close() error {
	p.engine.Close()
	return p.file.Close()
}

func newMockCore(s *Scenario, j *mockJob) (measurable, error) {
	p, err := j.open(s)
	if err != nil {
		return nil, err
	}
	_, ids, err := s.prompt(p.tok)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return &coreLayer{engine: p.engine, s: s, ids: ids, end: p.close}, nil
}

func (j *mockJob) site(s *Scenario) (*site, error) {
	p, err := j.open(s)
	if err != nil {
		return nil, err
	}
	x := &site{engine: p.engine, end: p.close}
	config := model.Config{Arch: "mock", Name: "mock", Vocab: p.tok.Vocab(), Context: p.engine.Config().Context}
	if err := x.build(s, p.file, p.tok, config, false); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}
