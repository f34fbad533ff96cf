package instance

import (
	"errors"
	"fmt"

	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/kvcache"
	"github.com/penstock-llm/penstock/internal/model"
)

// ErrDraft is wrapped by Open's error for a draft model that cannot guess for the model.
var ErrDraft = errors.New("the draft model does not suit")

// Draft is a smaller model that guesses what another would say, with keys and values of
// its own for as many blocks as that one has.
type Draft struct {
	file  *gguf.File
	model *model.Model
	store *kvcache.Store
}

// openDraft loads the draft model of an instance whose own model is loaded.
func openDraft(path string, in *Instance, o model.Options, blocks int) (*Draft, error) {
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	d := &Draft{file: file}
	o.Pool, o.Context, o.Progress = in.Model.Pool(), 0, nil
	if err := d.load(o, blocks); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// load fills in everything but the file. A file that is cut while it is read is an error.
func (d *Draft) load(o model.Options, blocks int) error {
	return d.file.Guard(func() (err error) {
		if d.model, err = model.Load(d.file, o); err != nil {
			return err
		}
		d.store, err = d.model.NewStore(kvcache.Room{Blocks: blocks})
		return err
	})
}

func (d *Draft) close() error {
	var errs []error
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if d.model != nil {
		errs = append(errs, d.model.Close())
	}
	return errors.Join(append(errs, d.file.Close())...)
}

// suits refuses a draft model whose guesses would mean other texts to the model: both
// must have the same tokens.
func suits(draft, target *gguf.File) error {
	for _, f := range []*gguf.File{draft, target} {
		if c, err := model.Describe(f); err != nil {
			return err
		} else if c.Encoder {
			return fmt.Errorf("%w: %s makes embeddings and generates nothing", ErrDraft, f.Label())
		}
	}
	a, _ := draft.Strs("tokenizer.ggml.tokens")
	b, _ := target.Strs("tokenizer.ggml.tokens")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Errorf("%w: token %d is %q in %s and %q in %s: choose one with the same vocabulary, such as a smaller model of the same family",
				ErrDraft, i, a[i], draft.Label(), b[i], target.Label())
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%w: %s has %d tokens and %s has %d: choose one with the same vocabulary, such as a smaller model of the same family",
			ErrDraft, draft.Label(), len(a), target.Label(), len(b))
	}
	return nil
}

// needOfDraft is the memory that the draft model of the options takes, if it suits.
func needOfDraft(target *gguf.File, o Options) (model.Memory, error) {
	f, err := safetensors.Open(o.Draft)
	if err != nil {
		return model.Memory{}, err
	}
	defer f.Close()
	if err := suits(f, target); err != nil {
		return model.Memory{}, err
	}
	return model.Need(f, o.model())
}

// add counts a draft model in: all its layers keep as many blocks as those of the model
// that see all positions.
func (n *need) add(d model.Memory) {
	n.Weights += d.Weights
	n.Buffers += d.Buffers
	n.File += d.File
	n.PerBlock += d.PerBlock + d.PerWindow
}
