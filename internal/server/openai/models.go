package openai

import (
	"time"

	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// models is GET /v1/models, for clients of OpenAI's API and of Anthropic's, which
// has other names for the same. Codex asks the same route for its own catalogue of
// models, which is the field models, and reports an error where that is missing.
// The catalogue says how OpenAI's models are to be prompted. An empty one is
// right: for a model that is not in it, Codex has settings of its own.
func models(call *serving.Call) *serving.Error {
	list := api.ModelList{Object: "list", Data: []api.Model{}, Models: []any{}}
	for _, m := range call.Listing() {
		for _, name := range m.Names() {
			list.Data = append(list.Data, describe(call, &m, name))
		}
	}
	if n := len(list.Data); n > 0 {
		list.FirstID, list.LastID = &list.Data[0].ID, &list.Data[n-1].ID
	}
	return call.JSON(200, list)
}

// oneModel is GET /v1/models/{id...}; ids may have slashes.
func oneModel(call *serving.Call) *serving.Error {
	id := call.R.PathValue("id")
	m, err := call.Lookup(id)
	if err != nil {
		return err
	}
	return call.JSON(200, describe(call, &m, id))
}

// describe describes a model under one of its names.
func describe(call *serving.Call, m *serving.Listed, name string) api.Model {
	c := call.App.Models.Config(m)
	context, size := c.Context, m.Size
	if m.Deployment != nil {
		context, size = m.Deployment.Context(), c.WeightBytes
	}
	return api.Model{
		ID:          name,
		Object:      "model",
		Created:     m.Modified.Unix(),
		OwnedBy:     "penstock",
		Root:        m.ID,
		MaxModelLen: context,
		Meta: api.ModelMeta{
			NVocab: c.Vocab, NCtx: context, NCtxTrain: c.Context, NEmbd: c.Dim, NParams: c.Params, Size: size,
		},
		Architecture: api.ModelArchitecture{InputModalities: []string{"text"}, OutputModalities: []string{"text"}},
		Status:       status(m),
		Type:         "model",
		DisplayName:  name,
		CreatedAt:    m.Modified.UTC().Format(time.RFC3339),
	}
}

// status is what llama-server's router says about a model. One that is being
// unloaded can be asked for all the same, and is loaded again.
func status(m *serving.Listed) api.ModelStatus {
	s := api.ModelStatus{Value: string(m.State), Failed: m.Failure != "", Error: m.Failure}
	if m.State == serving.StateUnloading {
		s.Value = string(serving.StateUnloaded)
	}
	return s
}
