package llamaserver

import (
	"net/http"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/sample"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// defaults are the settings of a request that names none. The seed is the one
// that stands for another each time, unless the server has one.
func defaults(m *serving.Deployment) api.Settings {
	var c serving.Check
	var r api.Generation
	j := c.Job(&serving.Call{}, m, &r.Fields, serving.Lenient)
	j.MaxTokens = -1
	s := settings(j, &r)
	if m.Sampling.Seed == nil || *m.Sampling.Seed < 0 {
		s.Seed = sample.RandomSeed
	}
	return *s
}

// props is GET /props.
func props(call *serving.Call) *serving.Error {
	m := call.App.Models.Loaded()
	if m == nil {
		return serving.Loading()
	}
	special := func(id int32) string {
		if id < 0 {
			return ""
		}
		return string(m.Tokenizer.Piece(id))
	}
	return call.JSON(200, api.Props{
		DefaultGenerationSettings: api.PropsSettings{NCtx: m.Context(), Params: defaults(m)},
		TotalSlots:                m.Engine.Config().MaxBatch,
		ModelAlias:                m.ID,
		ModelPath:                 m.Path,
		ChatTemplate:              m.Chat.Source(),
		ChatTemplateCaps:          map[string]bool{},
		Modalities:                map[string]bool{"vision": false, "audio": false},
		BOSToken:                  special(m.Tokenizer.BOS()),
		EOSToken:                  special(m.Tokenizer.EOS()),
		BuildInfo:                 "penstock " + call.App.Version,
	})
}

// slots is GET /slots. llama-server's slots keep a sequence each; here sequences
// join and leave the batch at every step. So a slot is one place in the batch, and
// as many slots as sequences are running show as busy, the first ones.
func slots(call *serving.Call) *serving.Error {
	m := call.App.Models.Loaded()
	if m == nil {
		return serving.Loading()
	}
	total, running := m.Engine.Config().MaxBatch, m.Engine.Stats().Running
	if running >= total && call.R.URL.Query().Get("fail_on_no_slot") != "" {
		return &serving.Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Message: "no slot available"}
	}
	list := make([]api.Slot, total)
	params := defaults(m)
	for i := range list {
		busy := i < running
		list[i] = api.Slot{ID: i, IDTask: -1, NCtx: m.Context(), IsProcessing: busy, Params: &params}
		list[i].NextToken = api.NextToken{HasNextToken: busy, NRemain: -1}
	}
	return call.JSON(200, list)
}
