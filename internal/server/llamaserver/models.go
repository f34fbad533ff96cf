package llamaserver

import (
	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// loadModel is POST /models/load. The answer comes when the model is loaded.
func loadModel(call *serving.Call) *serving.Error {
	name, err := named(call)
	if err != nil {
		return err
	}
	if err := call.Load(name); err != nil {
		return err
	}
	return call.JSON(200, api.ModelDone{Success: true})
}

// unloadModel is POST /models/unload. The answer comes when the model is unloaded,
// or at once if requests use it: then it is unloaded after the last of them.
func unloadModel(call *serving.Call) *serving.Error {
	name, err := named(call)
	if err != nil {
		return err
	}
	gone, err := call.Unload(name)
	if err != nil {
		return err
	}
	return call.JSON(200, api.ModelDone{Success: true, Pending: !gone})
}

// named reads which model a request is about. It has to say so: elsewhere no name stands
// for the server's own model, which nobody means to unload by leaving something out.
func named(call *serving.Call) (string, *serving.Error) {
	var req api.ModelRequest
	if err := call.Decode(&req); err != nil {
		return "", err
	}
	if req.Model == "" {
		return "", serving.Bad("model", "model is required")
	}
	return req.Model, nil
}
