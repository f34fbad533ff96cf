// Package ui is the chat page under /ui/: three embedded files, no external
// assets. It talks to /v1/chat/completions like any other client, so nothing
// here touches the model.
package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/penstock-llm/penstock/internal/server/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files and call this server, nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var types = map[string]string{
	"index.html": "text/html; charset=utf-8",
	"app.js":     "text/javascript; charset=utf-8",
	"style.css":  "text/css; charset=utf-8",
	"icon.svg":   "image/svg+xml",
}

// Routes are the page and its files.
func Routes() []serving.Route {
	routes := []serving.Route{{Method: "GET", Path: "/ui", Shape: llamaserver.WriteError, Handle: redirect, Public: true, About: "to /ui/",
		Contract: serving.Contract{Also: []int{http.StatusFound}}}}
	for _, name := range []string{"index.html", "app.js", "style.css", "icon.svg"} {
		body, err := static.ReadFile("static/" + name)
		if err != nil {
			panic(fmt.Sprintf("ui: %v", err)) // the file is part of the binary
		}
		at := "/ui/" + name
		if name == "index.html" {
			at = "/ui/{$}"
		}
		routes = append(routes, serving.Route{
			Method: "GET", Path: at, Shape: llamaserver.WriteError, Handle: file(name, body), Public: true, About: "chat page: " + path.Base(name),
			Contract: serving.Contract{Media: []string{strings.TrimSuffix(types[name], "; charset=utf-8")}, Also: []int{http.StatusNotModified}},
		})
	}
	return routes
}

func redirect(call *serving.Call) *serving.Error {
	http.Redirect(call.W, call.R, "/ui/", http.StatusFound)
	return nil
}

func file(name string, body []byte) serving.Handler {
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
		h.Set("Content-Type", types[name])
		h.Set("Content-Length", fmt.Sprint(len(body)))
		call.W.Write(body)
		return nil
	}
}
