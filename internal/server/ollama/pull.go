package ollama

import (
	"errors"
	"net/http"
	"strings"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// named reads the name of a model that may be fetched or removed: one of the
// catalogue, or a file of a Hugging Face repository. Paths and addresses are for
// whoever sits at the machine.
func (h handlers) named(req *api.NameRequest) (string, *serving.Error) {
	name := strings.TrimSuffix(either(req.Model, req.Name), ":latest")
	switch _, known := hub.Lookup(name); {
	case name == "":
		return "", serving.Bad("model", "model is required")
	case h.store == nil:
		return "", serving.Bad("model", "this server has no place to keep models")
	case !known && !strings.HasPrefix(name, "hf.co/"), strings.ContainsAny(name, `\~`), strings.Contains(name, ".."):
		return "", serving.Bad("model", "%q is no name of the catalogue, nor one of the form hf.co/ORG/REPO", name)
	}
	return name, nil
}

// pullInterval is how often a pull says how far it is.
const pullInterval = 200 * time.Millisecond

// pull is POST /api/pull. A model that was fetched can be named by requests at once.
func (h handlers) pull(call *serving.Call) *serving.Error {
	var req api.NameRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	name, failed := h.named(&req)
	if failed != nil {
		return failed
	}
	if !streams(req.Stream) {
		if _, err := h.store.Pull(call.R.Context(), name, nil); err != nil {
			return notPulled(name, err)
		}
		return call.JSON(200, api.Status{Status: "success"})
	}
	lines := call.Lines()
	lines.Send(api.Status{Status: "pulling manifest"})
	var last time.Time
	stage := ""
	_, err := h.store.Pull(call.R.Context(), name, func(now string, done, total int64) {
		if now == stage && time.Since(last) < pullInterval && done != total {
			return
		}
		stage, last = now, time.Now()
		lines.Send(api.Status{Status: now + " " + name, Digest: name, Total: max(total, 0), Completed: done})
	})
	if err != nil {
		failed := notPulled(name, err)
		lines.Send(api.Error{Error: failed.Message})
		return failed
	}
	return lines.Send(api.Status{Status: "success"})
}

func notPulled(name string, err error) *serving.Error {
	e := serving.Bad("model", "%s could not be fetched: %s", name, err.Error())
	e.Cause = err
	return e
}

// delete is DELETE /api/delete.
func (h handlers) delete(call *serving.Call) *serving.Error {
	var req api.NameRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	name, failed := h.named(&req)
	if failed != nil {
		return failed
	}
	gone, failed := call.Expire(name)
	switch {
	case failed == nil && !gone || failed != nil && failed.Status == http.StatusConflict && failed.Code != serving.NotLoaded:
		return &serving.Error{Status: http.StatusConflict, Type: "invalid_request_error", Message: name + " is being served"}
	case failed != nil && failed.Status != http.StatusConflict && failed.Status != http.StatusNotFound:
		return failed
	}
	if err := h.store.Remove(name); errors.Is(err, hub.ErrNotFetched) {
		return &serving.Error{Status: http.StatusNotFound, Type: "not_found_error", Message: "model '" + serving.Clip(name) + "' not found"}
	} else if err != nil {
		return serving.Internal(err)
	}
	call.W.WriteHeader(http.StatusOK)
	return nil
}
