package llamaserver

import (
	api "github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// loadModel is POST /models/load. The answer comes when the model is loaded.
func loadModel(call *serving.Call) *serving.Error {
	var req api.ModelRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	if err := call.Load(req.Model); err != nil {
		return err
	}
	return call.JSON(200, api.ModelDone{Success: true})
}

// unloadModel is POST /models/unload. The answer comes when the model is unloaded,
// or at once if requests use it: then it is unloaded after the last of them.
func unloadModel(call *serving.Call) *serving.Error {
	var req api.ModelRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	gone, err := call.Unload(req.Model)
	if err != nil {
		return err
	}
	return call.JSON(200, api.ModelDone{Success: true, Pending: !gone})
}
