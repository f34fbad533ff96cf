package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/model"
)

type showCommand struct {
	Model string `arg:"" optional:"" default:"${default_model}" help:"${model_help}"`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// shown is what show reports.
type shown struct {
	File         string `json:"file"`
	Size         int64  `json:"size"`
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	Parameters   int64  `json:"parameters"`
	Quantization string `json:"quantization"`
	Context      int    `json:"context_length"`
	Window       int    `json:"sliding_window,omitempty"`
	Vocabulary   int    `json:"vocab_size"`
	Layers       int    `json:"layers"`
	Width        int    `json:"embedding_length"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"`
	HeadSize     int    `json:"head_size"`
	FeedForward  int    `json:"feed_forward_length"`
	Experts      int    `json:"experts,omitempty"`
	ExpertsUsed  int    `json:"experts_used,omitempty"`
	ExpertWidth  int    `json:"expert_feed_forward_length,omitempty"`
	Template     bool   `json:"chat_template"`
	Base         bool   `json:"base_model"`
}

// present is the file of a model that is on this machine: what only looks at a model
// never downloads one.
func (c *commands) present(name string) (string, error) {
	path, have, err := c.store(nil).Resolve(name)
	if err == nil && !have {
		err = fmt.Errorf("%s is not on this machine: `penstock pull %s` fetches it", name, name)
	}
	return path, err
}

func (c *showCommand) Run(cli *commands, term terminal) error {
	path, err := cli.present(c.Model)
	if err != nil {
		return err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	m, err := model.Describe(file)
	if err != nil {
		return err
	}
	template, _ := file.Str("tokenizer.chat_template")
	s := shown{
		File: path, Size: file.Size(), Name: m.Name, Architecture: m.Arch, Parameters: m.Params, Quantization: m.Quantization,
		Context: m.Context, Window: m.Window, Vocabulary: m.Vocab, Layers: m.Layers, Width: m.Dim,
		Heads: m.Heads, KVHeads: m.KVHeads, HeadSize: m.HeadDim, FeedForward: m.FF,
		Experts: m.Experts, ExpertsUsed: m.ExpertsUsed, ExpertWidth: m.ExpertFF, Template: template != "", Base: isBase(path),
	}
	if c.JSON {
		return json.NewEncoder(term.out).Encode(s)
	}
	return s.print(term.out)
}

func (s *shown) print(out io.Writer) error {
	context := fmt.Sprint(s.Context)
	if s.Window > 0 {
		context += fmt.Sprintf(" (a sliding window of %d in some layers)", s.Window)
	}
	feed := fmt.Sprint(s.FeedForward)
	if s.Experts > 0 {
		feed = fmt.Sprintf("%d experts of %d, of which each token uses %d", s.Experts, s.ExpertWidth, s.ExpertsUsed)
	}
	template := "none: ChatML is used"
	if s.Template {
		template = "its own"
	}
	if s.Base {
		template += " (but it is a base model: it continues texts, it was not taught to chat)"
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"file", s.File}, {"size", bytesText(s.Size)}, {"name", s.Name}, {"architecture", s.Architecture},
		{"parameters", fmt.Sprintf("%.1f M", float64(s.Parameters)/1e6)}, {"quantization", s.Quantization},
		{"context", context}, {"vocabulary", s.Vocabulary}, {"layers", s.Layers}, {"width", s.Width},
		{"heads", fmt.Sprintf("%d of %d, %d for keys and values", s.Heads, s.HeadSize, s.KVHeads)},
		{"feed-forward", feed}, {"chat template", template},
	} {
		fmt.Fprintf(table, "%s\t%v\n", row.name, row.value)
	}
	return table.Flush()
}
