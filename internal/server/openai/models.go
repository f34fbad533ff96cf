package openai

import (
	api "github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// models is GET /v1/models. Codex asks the same route for its own catalogue of
// models, which is the field models, and reports an error where that is missing.
// The catalogue says how OpenAI's models are to be prompted. An empty one is
// right: for a model that is not in it, Codex has settings of its own.
func models(call *serving.Call) *serving.Error {
	list := api.ModelList{Object: "list", Data: []api.Model{}, Models: []any{}}
	if m := call.App.Models.Loaded(); m != nil {
		for _, name := range m.Names() {
			list.Data = append(list.Data, describe(m, name))
		}
	}
	return call.JSON(200, list)
}

// oneModel is GET /v1/models/{id...}; ids may have slashes.
func oneModel(call *serving.Call) *serving.Error {
	m := call.App.Models.Loaded()
	if m == nil {
		return serving.Loading()
	}
	id := call.R.PathValue("id")
	if id == "" || !m.Named(id) {
		return serving.NoModel(id, m.Names())
	}
	return call.JSON(200, describe(m, id))
}

// describe describes a model under one of its names.
func describe(m *serving.Deployment, name string) api.Model {
	c := m.Config
	return api.Model{
		ID:          name,
		Object:      "model",
		Created:     m.Created.Unix(),
		OwnedBy:     "penstock",
		Root:        m.ID,
		MaxModelLen: m.Context(),
		Meta: api.ModelMeta{
			NVocab: c.Vocab, NCtx: m.Context(), NCtxTrain: c.Context, NEmbd: c.Dim, NParams: c.Params, Size: c.WeightBytes,
		},
		Architecture: api.ModelArchitecture{InputModalities: []string{"text"}, OutputModalities: []string{"text"}},
		Status:       api.ModelStatus{Value: "loaded"},
	}
}
