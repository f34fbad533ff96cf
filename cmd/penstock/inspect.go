package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/instance"
)

type inspectCommand struct {
	Model   string `arg:"" help:"${model_help}"`
	Tensors bool   `help:"List every tensor."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// inspection is what inspect reports.
type inspection struct {
	File     string            `json:"file"`
	Version  uint32            `json:"version"`
	Size     int64             `json:"size"`
	Elements int64             `json:"parameters"`
	Metadata map[string]any    `json:"metadata"`
	Types    map[string]weight `json:"types"`
	Tensors  []tensorRow       `json:"tensors,omitempty"`
	Fit      fit               `json:"fit"`
}

// fit says whether this machine can run the model, and how its memory would be
// shared out.
type fit struct {
	Runs     bool   `json:"runs"`
	Problem  string `json:"problem,omitempty"`
	Limit    uint64 `json:"memory_limit"`
	Weights  uint64 `json:"weights"`
	Buffers  uint64 `json:"buffers"`
	PerToken uint64 `json:"kv_per_token"`
	Beyond   uint64 `json:"kv_per_token_beyond_window"` // of tokens that layers with a window do not keep
	Window   int    `json:"kv_window"`                  // positions of that window, 0: there is none
	Saved    uint64 `json:"kv_saved"`                   // by layers with a window, in bytes
	Tokens   int    `json:"kv_tokens"`
	Cache    uint64 `json:"kv_cache"`
	Context  int    `json:"context"`
}

type weight struct {
	Tensors int   `json:"tensors"`
	Bytes   int64 `json:"bytes"`
}

type tensorRow struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
	Bytes int    `json:"bytes"`
}

func (c *inspectCommand) Run(cli *commands, term terminal) error {
	tier, err := cli.tier()
	if err != nil {
		return err
	}
	path, err := cli.present(c.Model)
	if err != nil {
		return err
	}
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := inspect(file, c.Tensors, instance.Options{Tier: tier, MemoryLimit: cpu.MemoryLimit()})
	if c.JSON {
		for key, v := range in.Metadata {
			in.Metadata[key] = finite(v)
		}
		return json.NewEncoder(term.out).Encode(in)
	}
	return in.print(term.out)
}

func inspect(file *gguf.File, tensors bool, o instance.Options) inspection {
	in := inspection{
		File: file.Path(), Version: file.Version(), Size: file.Size(),
		Metadata: map[string]any{}, Types: map[string]weight{}, Fit: fits(file, o),
	}
	for _, key := range file.Keys() {
		v, _ := file.Value(key)
		in.Metadata[key] = shorten(v)
	}
	for _, t := range file.Tensors() {
		w := in.Types[t.Type.String()]
		w.Tensors++
		w.Bytes += int64(len(t.Data))
		in.Types[t.Type.String()] = w
		in.Elements += int64(t.Elements())
		if tensors {
			in.Tensors = append(in.Tensors, tensorRow{t.Name, t.Type.String(), t.Shape, len(t.Data)})
		}
	}
	return in
}

func fits(file *gguf.File, o instance.Options) fit {
	m, err := instance.Estimate(file, o)
	f := fit{
		Runs: err == nil, Limit: o.MemoryLimit, Weights: m.Weights, Buffers: m.Buffers + m.File + m.Words + m.Process,
		PerToken: m.PerToken, Beyond: m.Beyond, Window: m.Window, Saved: m.Saved, Tokens: m.Tokens, Cache: m.Cache, Context: m.Context,
	}
	if err != nil {
		f.Problem = err.Error()
	}
	return f
}

// finite is a value of which JSON has every number: null stands for an infinity and for
// a NaN.
func finite(v any) any {
	switch v := v.(type) {
	case float32:
		if v-v != 0 {
			return nil
		}
	case float64:
		if v-v != 0 {
			return nil
		}
	case []float32:
		return finiteList(v)
	case []float64:
		return finiteList(v)
	}
	return v
}

func finiteList[T float32 | float64](list []T) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = finite(v)
	}
	return all
}

// shorten cuts values that are too long to print, such as vocabularies and
// templates, and says how long they are.
func shorten(v any) any {
	switch text := fmt.Sprint(v); {
	case len(text) <= 100:
		return v
	default:
		return strings.ToValidUTF8(text[:80], "") + fmt.Sprintf("… (%d characters)", len(text))
	}
}

func (in inspection) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: GGUF v%d, %s, %.1f M parameters\n\n", in.File, in.Version, bytesText(in.Size), float64(in.Elements)/1e6)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, key := range sorted(in.Metadata) {
		fmt.Fprintf(table, "%s\t%v\n", key, in.Metadata[key])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(table, "\nTYPE\tTENSORS\tSIZE")
	for _, name := range sorted(in.Types) {
		fmt.Fprintf(table, "%s\t%d\t%s\n", name, in.Types[name].Tensors, bytesText(in.Types[name].Bytes))
	}
	if len(in.Tensors) > 0 {
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(table, "\nTENSOR\tTYPE\tSHAPE\tSIZE")
	}
	for _, t := range in.Tensors {
		fmt.Fprintf(table, "%s\t%s\t%v\t%s\n", t.Name, t.Type, t.Shape, bytesText(t.Bytes))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return in.Fit.print(out)
}

func (f *fit) print(out io.Writer) (err error) {
	if !f.Runs {
		_, err = fmt.Fprintf(out, "Penstock cannot run it here: %s\n", f.Problem)
		return err
	}
	beyond := ""
	if f.Window > 0 {
		beyond = fmt.Sprintf(", %s beyond the last %d of a sequence, which saves %s", bytesText(f.Beyond), f.Window, bytesText(f.Saved))
	}
	_, err = fmt.Fprintf(out, "Served here: %s of weights, %s of buffers, a KV cache of %s for %d tokens (%s each%s);\n"+
		"up to %d tokens per sequence, within the limit of %s.\n",
		bytesText(f.Weights), bytesText(f.Buffers), bytesText(f.Cache), f.Tokens, bytesText(f.PerToken), beyond,
		f.Context, bytesText(f.Limit))
	return err
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
