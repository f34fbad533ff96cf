package ollama

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// details describe a model in short.
func details(c model.Config) api.Details {
	return api.Details{
		Format: "gguf", Family: c.Arch, Families: []string{c.Arch}, ParameterSize: parameters(c.Params), QuantizationLevel: c.Quantization,
	}
}

// parameters writes a number of parameters as Ollama does, such as 494.03M.
func parameters(n int64) string {
	if n >= 1e9 {
		return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + "B"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 2, 64) + "M"
}

// describe makes the entry of a model under one of its names.
func describe(call *serving.Call, m *serving.Listed, name string) api.Model {
	e := api.Model{
		Name: name, Model: name, ModifiedAt: m.Modified.UTC().Format(time.RFC3339), Size: m.Size, Digest: m.Digest,
		Details: details(call.App.Models.Config(m)),
	}
	if e.Size == 0 {
		if info, err := os.Stat(m.Path); err == nil {
			e.Size = info.Size()
		}
	}
	if entry, ok := hub.Lookup(m.Path); ok && e.Digest == "" {
		e.Digest = entry.SHA256
	}
	return e
}

// tags is GET /api/tags: all models that requests may name.
func tags(call *serving.Call) *serving.Error {
	answer := api.Models{Models: []api.Model{}}
	for _, m := range call.Listing() {
		for _, name := range m.Names() {
			answer.Models = append(answer.Models, describe(call, &m, name))
		}
	}
	return call.JSON(200, answer)
}

// ps is GET /api/ps: the models that are loaded, with all the memory that each
// takes. One that stays for ever expires in a hundred years: clients want a time.
func ps(call *serving.Call) *serving.Error {
	answer := api.Models{Models: []api.Model{}}
	for _, m := range call.Listing() {
		if m.Deployment == nil {
			continue
		}
		e := describe(call, &m, m.ID)
		if n := m.Memory.Total(); n > 0 {
			e.Size = int64(n)
		}
		expires := m.Expires
		if expires.IsZero() {
			expires = time.Now().AddDate(100, 0, 0)
		}
		e.ExpiresAt = expires.UTC().Format(time.RFC3339)
		e.SizeVRAM = new(int64)
		e.ContextLength = m.Deployment.Context()
		answer.Models = append(answer.Models, e)
	}
	return call.JSON(200, answer)
}

// show is POST /api/show. A model that is not loaded is described from its file.
func show(call *serving.Call) *serving.Error {
	var req api.NameRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	name, err := known(call, either(req.Model, req.Name))
	if err != nil {
		return err
	}
	m, err := call.Describe(name)
	if err != nil {
		return err
	}
	c := m.Config
	return call.JSON(200, api.ShowResponse{
		Modelfile:  "FROM " + m.ID + "\n",
		Parameters: settings(m),
		Template:   m.Chat.Source(),
		License:    m.License,
		Details:    details(c),
		ModelInfo: map[string]any{
			"general.architecture": c.Arch, "general.parameter_count": c.Params, c.Arch + ".context_length": m.Context(),
			c.Arch + ".embedding_length": c.Dim, c.Arch + ".block_count": c.Layers, c.Arch + ".feed_forward_length": c.FF,
			c.Arch + ".attention.head_count": c.Heads, c.Arch + ".attention.head_count_kv": c.KVHeads, c.Arch + ".rope.freq_base": c.RopeBase,
		},
		Capabilities: capabilities(m),
		ModifiedAt:   m.Created.UTC().Format(time.RFC3339),
	})
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// capabilities are what clients may use a model for. Only a file that says how its
// embeddings are made is called an embedding model: of others there are embeddings,
// too, but poor ones.
func capabilities(m *serving.Deployment) []string {
	if m.Config.Pooling != model.NoPooling {
		return []string{"embedding"}
	}
	can := []string{"completion"}
	if m.Tokenizer.Infill().Complete() {
		can = append(can, "insert")
	}
	if m.Chat.KnowsTools() {
		can = append(can, "tools")
	}
	if m.Chat.Reasoner() != nil {
		can = append(can, "thinking")
	}
	return can
}

// settings are how tokens are chosen unless a request says otherwise, as lines.
func settings(m *serving.Deployment) string {
	defaults := m.Defaults()
	p := defaults.Params()
	var b strings.Builder
	for _, s := range []struct {
		name  string
		value any
	}{
		{"temperature", p.Temperature}, {"top_k", p.TopK}, {"top_p", p.TopP}, {"min_p", p.MinP}, {"repeat_penalty", p.RepeatPenalty},
	} {
		fmt.Fprintf(&b, "%-30s %v\n", s.name, s.value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
