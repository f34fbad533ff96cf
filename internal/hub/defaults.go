package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// defaultsSuffix is that of the file beside a model with what its publisher says of its
// use, where that is not in the model's own file.
const defaultsSuffix = ".defaults.json"

// Defaults are what a model's publisher says of its use outside the model's file.
type Defaults struct {
	Temperature   *float64 `json:"temperature,omitempty"`
	TopK          *int     `json:"top_k,omitempty"`
	TopP          *float64 `json:"top_p,omitempty"`
	MinP          *float64 `json:"min_p,omitempty"`
	RepeatPenalty *float64 `json:"repeat_penalty,omitempty"`
	RepeatLastN   *int     `json:"repeat_last_n,omitempty"`
	Stop          []string `json:"stop,omitempty"`
	Context       int      `json:"num_ctx,omitempty"` // tokens of a sequence
	System        string   `json:"system,omitempty"`  // message that a conversation begins with
}

// Sampling is how tokens are to be chosen.
func (d *Defaults) Sampling() gguf.Sampling {
	return gguf.Sampling{Temperature: d.Temperature, TopK: d.TopK, TopP: d.TopP, MinP: d.MinP, RepeatPenalty: d.RepeatPenalty, RepeatLastN: d.RepeatLastN}
}

// DefaultsOf are the defaults that were fetched with the file of a model. Without any
// they are empty.
func DefaultsOf(path string) (d Defaults, err error) {
	data, err := os.ReadFile(first(path) + defaultsSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return Defaults{}, fmt.Errorf("the defaults of %s cannot be read (remove the model and pull it again): %w", path, err)
	}
	return d, nil
}

// write puts the defaults beside a model.
func (d *Defaults) write(target string) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(target+defaultsSuffix, append(data, '\n'), 0o644)
}

// defaults reads the small layers of a model of Ollama's. nil: it has none that are
// used.
func (b *blobStore) defaults(ctx context.Context, layers []v1.Descriptor, p retryPolicy) (*Defaults, error) {
	d, any := Defaults{}, false
	for _, l := range layers {
		switch l.MediaType {
		case ollamaTemplate:
			b.store.Notice("its template is in Ollama's language and not used: the model's own, which is in its file, is")
		case ollamaMessages:
			b.store.Notice("the messages that it begins conversations with are not used")
		case ollamaProjector:
			b.store.Notice("it can see pictures with a projector, which is not fetched: it answers texts only")
		case ollamaSystem, ollamaParams:
			data, err := b.layer(ctx, l, p)
			if err != nil {
				return nil, err
			}
			any = true
			if l.MediaType == ollamaSystem {
				d.System = strings.ToValidUTF8(string(data), "\ufffd")
				continue
			}
			unused, err := d.params(data)
			if err != nil {
				return nil, err
			}
			if len(unused) > 0 {
				b.store.Notice("parameters of it that are not used: " + strings.Join(unused, ", "))
			}
		}
	}
	if !any {
		return nil, nil
	}
	return &d, nil
}

// params takes up the parameters of Ollama that mean something here, and lists the
// others. What no sampler could use counts as one of those.
func (d *Defaults) params(data []byte) (unused []string, err error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("its parameters cannot be read: %w", err)
	}
	for name, value := range all {
		ok := false
		switch name {
		case "temperature":
			d.Temperature, ok = number(value, 0, math.MaxFloat32)
		case "top_p":
			d.TopP, ok = number(value, 0, 1)
		case "min_p":
			d.MinP, ok = number(value, 0, 1)
		case "repeat_penalty":
			d.RepeatPenalty, ok = number(value, math.SmallestNonzeroFloat32, math.MaxFloat32)
		case "top_k":
			d.TopK, ok = whole(value, -1)
		case "repeat_last_n":
			d.RepeatLastN, ok = whole(value, -1)
		case "num_ctx":
			var n *int
			if n, ok = whole(value, 1); ok {
				d.Context = *n
			}
		case "stop":
			ok = json.Unmarshal(value, &d.Stop) == nil && !slices.Contains(d.Stop, "")
			if !ok {
				d.Stop = nil
			}
		}
		if !ok {
			unused = append(unused, name)
		}
	}
	slices.Sort(unused)
	return unused, nil
}

// number reads a number within limits.
func number(data []byte, least, most float64) (*float64, bool) {
	var v float64
	if json.Unmarshal(data, &v) != nil || !(v >= least && v <= most) {
		return nil, false
	}
	return &v, true
}

// whole reads a whole number of at least least.
func whole(data []byte, least int) (*int, bool) {
	v, ok := number(data, float64(least), math.MaxInt32)
	if !ok || *v != math.Trunc(*v) {
		return nil, false
	}
	n := int(*v)
	return &n, true
}
