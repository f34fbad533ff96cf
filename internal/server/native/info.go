package native

import (
	"net/http"
	"strings"

	api "github.com/penstock-llm/penstock/api/native"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// modelInfo is GET /model/info.
func modelInfo(call *serving.Call) *serving.Error {
	m, err := call.Present("")
	if err != nil {
		return err
	}
	c := m.Config
	return answer(call, api.ModelInfo{
		ModelPath:         m.FileName(),
		ModelName:         m.ID,
		ModelFamily:       c.Arch,
		ModelType:         "gguf",
		VocabSize:         c.Vocab,
		HiddenSize:        c.Dim,
		NumLayers:         c.Layers,
		NumHeads:          c.Heads,
		NumKVHeads:        c.KVHeads,
		HeadDim:           c.HeadDim,
		MaxSequenceLength: m.Context(),
		TrainedLength:     c.Context,
		IntermediateSize:  c.FF,
		RopeTheta:         c.RopeBase,
		RMSNormEps:        c.NormEps,
		Quantization:      quantization(c.Quantization),
		Parameters:        c.Params,
		WeightBytes:       c.WeightBytes,
	})
}

// quantization describes a number format by llama.cpp's name for it.
func quantization(name string) api.Quantization {
	switch name {
	case "", "F32", "F16", "BF16":
		return api.Quantization{Type: name}
	}
	return api.Quantization{Enabled: true, Type: name}
}

// index is GET /: the list of routes, or the chat page for a browser.
func index(all func() []serving.Route) serving.Handler {
	return func(call *serving.Call) *serving.Error {
		call.W.Header().Add("Vary", "Accept")
		if strings.Contains(call.R.Header.Get("Accept"), "text/html") {
			http.Redirect(call.W, call.R, "/ui/", http.StatusFound)
			return nil
		}
		list := api.Index{Name: "penstock", Version: call.App.Version, Endpoints: []api.Endpoint{}}
		for _, r := range all() {
			path := strings.TrimSuffix(r.Path, "{$}")
			list.Endpoints = append(list.Endpoints, api.Endpoint{Method: r.Method, Path: path, Description: r.About})
		}
		return call.JSON(200, list)
	}
}
