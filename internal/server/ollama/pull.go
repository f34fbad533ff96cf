package ollama

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"

	api "github.com/penstock-llm/penstock/api/ollama"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// named reads the name of a model that may be fetched or removed: one of the
// catalogue, a file of a Hugging Face repository, or one of Ollama's registry. Paths
// and addresses are for whoever sits at the machine. stored says whether it may be a
// copy's.
func (h handlers) named(req *api.NameRequest, stored bool) (string, *serving.Error) {
	name := strings.TrimSuffix(either(req.Model, req.Name), ":latest")
	_, known := hub.Lookup(name)
	known = known || stored && !strings.Contains(name, "/")
	switch {
	case name == "":
		return "", serving.Bad("model", "model is required")
	case h.store == nil:
		return "", noPlace("model")
	case !known && !strings.HasPrefix(name, "hf.co/") && !strings.HasPrefix(name, ollamaRegistry), strings.ContainsAny(name, `\~`), strings.Contains(name, ".."):
		return "", serving.Bad("model", "%q is no name of the catalogue, nor one of the form hf.co/ORG/REPO or %sNAME", name, ollamaRegistry)
	}
	return name, nil
}

// ollamaRegistry begins the names of the models that Ollama's own registry has.
const ollamaRegistry = "registry.ollama.ai/"

// pullInterval is how often a pull says how far it is.
const pullInterval = 200 * time.Millisecond

// pull is POST /api/pull. A model that was fetched can be named by requests at once.
func (h handlers) pull(call *serving.Call) *serving.Error {
	var req api.NameRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	name, failed := h.named(&req, false)
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

// copy is POST /api/copy. Requests can use the new name at once.
func (h handlers) copy(call *serving.Call) *serving.Error {
	var req api.CopyRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	switch {
	case req.Source == "":
		return serving.Bad("source", "source is required: the name of a model")
	case req.Destination == "":
		return serving.Bad("destination", "destination is required: its new name")
	}
	source, err := known(call, req.Source)
	if err != nil {
		return err
	}
	m, err := call.Lookup(source)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(req.Destination, ":latest")
	if _, err := call.App.Models.Lookup(name); err == nil {
		e := serving.Bad("destination", "there is a model %q already", name)
		e.Status = http.StatusConflict
		return e
	}
	if h.store == nil {
		return noPlace("source")
	}
	switch err := h.store.Copy(m.Path, name); {
	case errors.Is(err, hub.ErrName):
		return serving.Bad("destination", "%s", err.Error())
	case err != nil && !missing(err):
		return serving.Internal(err)
	case err != nil:
		return serving.Bad("source", "%q was not downloaded by this server, so it cannot have another name: penstock serve --alias gives it one", req.Source)
	}
	call.W.WriteHeader(http.StatusOK)
	return nil
}

// missing reports whether an error of the store says that it does not have the model. Any
// other one may pass: the disk is full, or too many files are open.
func missing(err error) bool {
	return errors.Is(err, hub.ErrNotFetched) || errors.Is(err, hub.ErrUnknown) || errors.Is(err, fs.ErrNotExist)
}

func noPlace(param string) *serving.Error {
	return serving.Bad(param, "this server has no place to keep models")
}

// blob is GET /api/blobs/{digest}, which clients ask with HEAD: whether a model has
// this digest. What is in it is nobody's business.
func blob(call *serving.Call) *serving.Error {
	digest := call.R.PathValue("digest")
	sum, ok := strings.CutPrefix(strings.Replace(digest, "-", ":", 1), "sha256:")
	if !ok || len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return serving.Bad("digest", "the digest must be sha256: and 64 hexadecimal digits")
	}
	for _, m := range call.Listing() {
		if describe(call, &m, m.ID).Digest == sum {
			call.W.WriteHeader(http.StatusOK)
			return nil
		}
	}
	return &serving.Error{Status: http.StatusNotFound, Type: "not_found_error", Message: "no model has the digest " + serving.Clip(digest)}
}

// delete is DELETE /api/delete.
func (h handlers) delete(call *serving.Call) *serving.Error {
	var req api.NameRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	name, failed := h.named(&req, true)
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
	if err := h.store.Remove(name); missing(err) {
		return &serving.Error{Status: http.StatusNotFound, Type: "not_found_error", Message: "model '" + serving.Clip(name) + "' not found"}
	} else if errors.Is(err, hub.ErrBusy) {
		return &serving.Error{Status: http.StatusConflict, Type: "invalid_request_error", Message: err.Error()}
	} else if err != nil {
		return serving.Internal(err)
	}
	call.W.WriteHeader(http.StatusOK)
	return nil
}
