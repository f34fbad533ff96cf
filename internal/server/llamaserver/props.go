package llamaserver

import (
	"net/http"

	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/engine"
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
	if seed := m.Defaults().Seed; seed == nil || *seed < 0 {
		s.Seed = sample.RandomSeed
	}
	return *s
}

// props is GET /props. Like llama-server's router it takes the name of a model, which
// it does not load.
func props(call *serving.Call) *serving.Error {
	m, err := call.Present(call.R.URL.Query().Get("model"))
	if err != nil {
		return err
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
		ModelPath:                 m.FileName(),
		ChatTemplate:              m.Chat.Source(),
		ChatTemplateCaps:          abilities(m.Chat.Abilities()),
		Modalities:                map[string]bool{"vision": false, "audio": false},
		BOSToken:                  special(m.Tokenizer.BOS()),
		EOSToken:                  special(m.Tokenizer.EOS()),
		BuildInfo:                 "penstock " + call.App.Version,
	})
}

// abilities are what a template can do, by llama-server's names.
func abilities(a chat.Abilities) map[string]bool {
	return map[string]bool{
		"supports_system_role": a.System, "supports_tools": a.Tools, "supports_tool_calls": a.Calls, "supports_parallel_tool_calls": a.SeveralCalls,
		"supports_tool_responses": a.Results, "supports_preserve_reasoning": a.Reasoning, "supports_typed_content": a.Parts, "supports_string_content": !a.Parts,
	}
}

// slots is GET /slots. A slot is a place in the batch, which a request keeps while
// it takes part in the steps. Stop strings and the like of a request are shown to
// its own client only.
func slots(call *serving.Call) *serving.Error {
	m, err := call.Present(call.R.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	running, list := m.Engine.Running(), make([]api.Slot, m.Engine.Config().MaxBatch)
	if len(running) >= len(list) && call.R.URL.Query().Get("fail_on_no_slot") != "" {
		return &serving.Error{Status: http.StatusServiceUnavailable, Type: "unavailable_error", Message: "no slot available"}
	}
	params := defaults(m)
	for i := range list {
		list[i] = api.Slot{ID: i, IDTask: -1, NCtx: m.Context(), Params: &params, NextToken: api.NextToken{NRemain: -1}}
	}
	for _, r := range running {
		job, _ := r.Tag.(*serving.Job)
		if job == nil {
			continue
		}
		fill(&list[r.Place], r, job, call.Client.Name)
	}
	return call.JSON(200, list)
}

// fill describes the request that has a slot.
func fill(s *api.Slot, r engine.Running, j *serving.Job, client string) {
	shown := *j
	if j.Client != client {
		shown.Stop, shown.BadWords, shown.Breakers = nil, nil, nil
	}
	s.IDTask, s.IsProcessing, s.Params = int(r.Number), true, settings(&shown, &api.Generation{})
	s.NPrompt, s.NPromptProcessed, s.NPromptCache, s.NPast = r.Prompt, r.Computed-r.Cached, r.Cached, r.Computed+r.Decoded
	s.NextToken = api.NextToken{HasNextToken: true, NRemain: -1, NDecoded: r.Decoded}
	if r.Limit >= 0 {
		s.NextToken.NRemain = max(0, r.Limit-r.Decoded)
	}
}

// loraAdapters is GET /lora-adapters. There are none.
func loraAdapters(call *serving.Call) *serving.Error { return call.JSON(200, []struct{}{}) }
