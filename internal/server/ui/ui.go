// Package ui is the page under /ui/: a chat, and a live view of the engine. It is
// made of embedded files, plain modules of JavaScript among them, and loads
// nothing from elsewhere. For its chats it asks /v1/chat/completions like any
// other client. Two routes are its own: /ui/render turns Markdown into HTML, so
// that the page needs no parser, and /ui/live sends what the engine does.
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	api "github.com/penstock-llm/penstock/api/page"
	"github.com/penstock-llm/penstock/internal/server/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/server/ui/markdown"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files and call this server, nothing else. HTML
// becomes elements only by way of the one policy named here, which takes what
// /ui/render has sanitised.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types rendered"

// types are the content types of the page's files.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// Routes are the page, its files, and what it asks the server for.
func Routes() []serving.Route {
	routes := []serving.Route{
		{Method: "GET", Path: "/ui", Shape: llamaserver.WriteError, Handle: redirect, Public: true, About: "to /ui/",
			Contract: serving.Contract{Also: []int{http.StatusFound}}},
		{Method: "POST", Path: "/ui/render", Shape: llamaserver.WriteError, Handle: render, About: "Markdown as HTML that is safe to show, block by block",
			Contract: serving.Contract{Takes: api.RenderRequest{}, Gives: api.Rendered{}}},
		{Method: "GET", Path: "/ui/live", Shape: llamaserver.WriteError, Handle: newLive().watch, About: "what the engine does, several times a second while it does something",
			Contract: serving.Contract{Events: api.Live{}, Query: map[string][]string{"model": nil}, Also: []int{http.StatusNotFound, http.StatusServiceUnavailable}}},
	}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		if err == nil {
			routes = append(routes, asset(strings.TrimPrefix(name, "static/"), body))
		}
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("ui: %v", err)) // the files are part of the binary
	}
	return routes
}

// asset is the route of one file.
func asset(name string, body []byte) serving.Route {
	kind := types[path.Ext(name)]
	at := "/ui/" + name
	if name == "index.html" {
		at = "/ui/{$}"
	}
	media, _, _ := strings.Cut(kind, ";")
	return serving.Route{
		Method: "GET", Path: at, Shape: llamaserver.WriteError, Handle: file(kind, body), Public: true, About: "page: " + name,
		Contract: serving.Contract{Media: []string{media}, Also: []int{http.StatusNotModified}},
	}
}

func redirect(call *serving.Call) *serving.Error {
	http.Redirect(call.W, call.R, "/ui/", http.StatusFound)
	return nil
}

func file(kind string, body []byte) serving.Handler {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(call *serving.Call) *serving.Error {
		h := call.W.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache") // ask each time, which the tag makes cheap
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if call.R.Header.Get("If-None-Match") == tag {
			call.W.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("Content-Type", kind)
		h.Set("Content-Length", fmt.Sprint(len(body)))
		call.W.Write(body)
		return nil
	}
}

// maxRendered is the longest text that is rendered at once, in bytes.
const maxRendered = 1 << 20

// render is POST /ui/render.
func render(call *serving.Call) *serving.Error {
	var req api.RenderRequest
	if err := call.Decode(&req); err != nil {
		return err
	}
	if len(req.Text) > maxRendered {
		return serving.Bad("text", "text has %d bytes, at most %d are rendered at once", len(req.Text), maxRendered)
	}
	d := markdown.Render(req.Text, req.Done)
	answer := api.Rendered{Closed: make([]api.Block, len(d.Closed)), Open: append([]string{}, d.Open...)}
	for i, b := range d.Closed {
		answer.Closed[i] = api.Block{HTML: b.HTML, Length: b.Units}
	}
	return call.JSON(http.StatusOK, answer)
}
