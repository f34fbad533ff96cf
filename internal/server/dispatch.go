package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstock-llm/penstock/internal/server/native"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// path is what is mounted at one path: its methods.
type path struct {
	server *Server
	name   string
	routes []serving.Route
	allow  string
	counts map[string]*[6]atomic.Uint64 // answers by method and class of status
}

// mount gives every path a handler of its own, so that a wrong method gets an
// answer in the form of the path's protocol.
func (s *Server) mount() {
	byPath := map[string]*path{}
	for _, r := range s.routes {
		p := byPath[r.Path]
		if p == nil {
			p = &path{server: s, name: strings.TrimSuffix(r.Path, "{$}"), counts: map[string]*[6]atomic.Uint64{}}
			byPath[r.Path] = p
			s.paths = append(s.paths, p)
			s.mux.Handle(r.Path, p)
		}
		p.routes = append(p.routes, r)
		p.counts[r.Method] = new([6]atomic.Uint64)
	}
	for _, p := range s.paths {
		var methods []string
		for _, r := range p.routes {
			methods = append(methods, r.Method)
			if r.Method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
		p.allow = strings.Join(append(methods, http.MethodOptions), ", ")
	}
	s.mux.HandleFunc("/", s.notFound)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if s.cfg.CORSOrigin != "" {
		h.Set("Access-Control-Allow-Origin", s.cfg.CORSOrigin)
		h.Set("Access-Control-Expose-Headers", "x-request-id, openai-processing-ms, retry-after")
		if s.cfg.CORSOrigin != "*" {
			h.Set("Vary", "Origin")
		}
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	shape := native.WriteError
	if strings.HasPrefix(r.URL.Path, "/v1") {
		shape = openai.WriteError
	}
	shape(w, serving.NotFound(r.URL.Path))
}

// ServeHTTP answers a request for this path.
func (p *path) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(p.routes, func(r serving.Route) bool { return r.Method == method })
	if i < 0 {
		p.otherMethod(w, r)
		return
	}
	route := &p.routes[i]
	out := &response{ResponseWriter: w, start: start}
	out.flusher, _ = w.(http.Flusher)
	call := &serving.Call{App: p.server.app, W: out, R: r, Start: start, ID: requestID(r)}
	w.Header()["X-Request-Id"] = []string{call.ID}
	var err *serving.Error
	if call.Client, err = p.server.client(r, route.Public); err == nil {
		err = p.handle(route, call)
	}
	if err != nil && out.status == 0 && err.Status != serving.Gone().Status {
		route.Shape(out, err)
	}
	p.counts[method][class(out.status, err)].Add(1)
	p.server.log(call, route, out, err)
}

// class is the hundreds of a status; 5 for what was aborted without one.
func class(status int, err *serving.Error) int {
	if status == 0 && err != nil {
		status = err.Status
	}
	return min(max(status/100, 1), 5)
}

// handle runs a handler; a panic becomes a 500.
func (p *path) handle(route *serving.Route, call *serving.Call) (err *serving.Error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(v)
		}
		p.server.cfg.Log.Error("panic in a handler", "path", p.name, "request", call.ID, "panic", v, "stack", string(debug.Stack()))
		err = serving.Internal(fmt.Errorf("panic: %v", v))
	}()
	return route.Handle(call)
}

func (p *path) otherMethod(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Allow", p.allow)
	if r.Method != http.MethodOptions {
		p.routes[0].Shape(w, serving.WrongMethod(r.Method, p.name))
		return
	}
	if p.server.cfg.CORSOrigin != "" {
		h.Set("Access-Control-Allow-Methods", p.allow)
		allowed := "Authorization, Content-Type, OpenAI-Beta, X-Api-Key, X-Request-Id"
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			allowed = asked
		}
		h.Set("Access-Control-Allow-Headers", allowed)
		h.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}

// log writes one line for a request if that is wanted, and one for an internal
// error in any case.
func (s *Server) log(call *serving.Call, route *serving.Route, out *response, err *serving.Error) {
	if err != nil && err.Cause != nil {
		s.cfg.Log.Error("request failed", "path", route.Path, "request", call.ID, "error", err.Cause)
	}
	if !s.cfg.AccessLog {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", call.R.Method), slog.String("path", call.R.URL.Path), slog.Int("status", out.status),
		slog.Duration("time", time.Since(call.Start)), slog.String("request", call.ID), slog.String("client", call.Client),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Message))
	}
	s.cfg.Log.LogAttrs(call.R.Context(), slog.LevelInfo, "request", attrs...)
}

// response remembers the status, and adds the time that passed before it.
type response struct {
	http.ResponseWriter
	flusher http.Flusher
	status  int
	start   time.Time
}

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		ms := strconv.FormatInt(time.Since(r.start).Milliseconds(), 10)
		r.Header()["Openai-Processing-Ms"] = []string{ms}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(b)
}

// Flush sends what was written.
func (r *response) Flush() {
	if r.flusher != nil {
		r.flusher.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
