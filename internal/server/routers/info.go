package routers

import (
	api "github.com/penstock-llm/penstock/api/routers"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// modelInfo is GET /get_model_info.
func modelInfo(call *serving.Call) *serving.Error {
	m, err := call.Present("")
	if err != nil {
		return err
	}
	return call.JSON(200, api.ModelInfo{
		ModelPath: m.FileName(), TokenizerPath: m.FileName(), ServedModelName: m.ID, IsGeneration: true,
		ModelType: m.Config.Arch, Architectures: []string{m.Config.Arch}, MaxContextLength: m.Context(), VocabSize: m.Tokenizer.Vocab(),
	})
}

// serverInfo is GET /server_info.
func serverInfo(call *serving.Call) *serving.Error {
	m, err := call.Present("")
	if err != nil {
		return err
	}
	cfg := m.Engine.Config()
	return call.JSON(200, api.ServerInfo{
		Version: call.App.Version, ModelPath: m.FileName(), ServedModelName: m.ID, ContextLength: m.Context(), MaxModelLen: m.Context(),
		MaxTotalNumTokens: cfg.Blocks * cfg.BlockTokens, PageSize: cfg.BlockTokens, MaxRunningRequests: cfg.MaxBatch, MaxQueuedRequests: cfg.MaxQueue,
		TPSize: 1, DPSize: 1, DisableRadixCache: !cfg.PrefixCache,
	})
}
