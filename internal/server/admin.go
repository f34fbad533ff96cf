package server

import (
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/penstock-llm/penstock/internal/server/llamaserver"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Admin returns an http.Server for whoever runs this one: Go's profiles below
// /debug/pprof/, and /metrics. It asks for no key, so its listener belongs on a
// loopback address. It works while the server loads, drains or is overloaded.
func (s *Server) Admin() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /metrics", s.metrics)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.adminCheck(r); err != nil {
			llamaserver.WriteError(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return &http.Server{Handler: guarded, BaseContext: base, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
}

// adminCheck refuses what a web page may have caused: it needs no key, and no page
// has business here.
func (s *Server) adminCheck(r *http.Request) *serving.Error {
	own := origins{}
	if !own.hostAllowed(r) {
		return serving.Forbidden("the host name %q is not one of this machine's own", r.Host)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return serving.Forbidden("web pages may not read this address (Sec-Fetch-Site: %s)", site)
	}
	return nil
}
