package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/server/anthropic"
	"github.com/penstock-llm/penstock/internal/server/ollama"
	"github.com/penstock-llm/penstock/internal/server/openai"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/server/tracing"
)

// exchange is one request on its way through the server.
type exchange struct {
	server *Server
	call   *serving.Call
	path   *path          // nil: no route has the path
	route  *serving.Route // nil: none has the method either
	err    *serving.Error // what the request ended with; also set when a stream fails midway
	span   *tracing.Span  // nil: it is not traced
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := &serving.Call{App: s.app, R: r, Start: time.Now(), ID: requestID(r), Address: proxies(s.cfg.TrustedProxies).client(r)}
	if s.cfg.LogPrompts {
		call.Record.KeepTexts()
	}
	x := &exchange{server: s, call: call}
	out := &response{ResponseWriter: w, exchange: x}
	call.W = out
	out.begin()
	for _, o := range s.observers {
		o.began(call)
	}
	w.Header()["X-Request-Id"] = []string{call.ID}
	s.origins.allow(s.cfg.CORSOrigin, r, w.Header())
	defer func() {
		out.end()
		call.Leave()
		for _, o := range s.observers {
			o.ended(x, out.status)
		}
	}()
	s.mux.ServeHTTP(out, r)
}

// fail answers with an error in the form of a protocol. A client that is gone
// gets none, and one whose stream failed midway has been told already, unless it
// had no answer yet.
func (x *exchange) fail(out *response, shape serving.Shape, err *serving.Error) {
	x.err = err
	if x.call.Tell(err) {
		return
	}
	if out.status == 0 && err.Status != serving.Gone().Status {
		shape(out, err)
	}
}

// path is what is mounted at one path: its methods.
type path struct {
	name   string
	routes []serving.Route
	allow  string // the header of that name
}

// mount gives every path one handler for all methods, so that a wrong method
// gets an answer in the form of the path's protocol.
func (s *Server) mount() {
	byPath := map[string]*path{}
	for _, r := range s.routes {
		p := byPath[r.Path]
		if p == nil {
			p = &path{name: strings.TrimSuffix(r.Path, "{$}")}
			byPath[r.Path] = p
			s.paths = append(s.paths, p)
			s.mux.Handle(r.Path, p)
		}
		p.routes = append(p.routes, r)
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
	s.mux.HandleFunc("/", notFound)
}

// unrouted has the form of the 404 for a path that no route has: that of the
// first prefix that the path begins with.
var unrouted = []struct {
	prefix string
	shape  serving.Shape
}{
	{"/api/", ollama.WriteError},
	{"/v1/messages", anthropic.WriteError},
	{"/", openai.WriteError},
}

func notFound(w http.ResponseWriter, r *http.Request) {
	out := w.(*response)
	for _, u := range unrouted {
		if strings.HasPrefix(r.URL.Path, u.prefix) {
			out.fail(out, u.shape, serving.NotFound(r.URL.Path))
			return
		}
	}
}

// ServeHTTP answers a request for this path.
func (p *path) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := w.(*response) // the server's ServeHTTP made it
	x := out.exchange
	x.path = p
	if err := x.server.origins.check(r); err != nil {
		out.fail(out, p.routes[0].Shape, err)
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(p.routes, func(r serving.Route) bool { return r.Method == method })
	if i < 0 {
		p.otherMethod(out, r)
		return
	}
	x.route = &p.routes[i]
	x.trace()
	err := x.server.identify(x.call, x.route)
	if err == nil && x.route.Contract.Runs {
		err = x.call.Visit(x.server.cfg.Meters, x.route.Limits)
	}
	if err == nil {
		err = x.handle()
	}
	if err != nil {
		x.fail(out, x.route.Shape, err)
	}
}

// trace passes the request's trace on: with a span of this server's, if there are
// any, or as it came. What programs poll is not traced.
func (x *exchange) trace() {
	call := x.call
	if x.route.Method == http.MethodPost {
		x.span = x.server.cfg.Tracer.Begin(call.R, x.path.name, call.Start)
	}
	if x.span != nil {
		call.Trace = x.span.Traceparent()
	} else if header := call.R.Header.Get("Traceparent"); header != "" && tracing.Valid(header) {
		call.Trace = header
	}
	if call.Trace != "" {
		call.W.Header()["Traceparent"] = []string{call.Trace}
	}
}

// handle runs the route's handler. A panic becomes a 500.
func (x *exchange) handle() (err *serving.Error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(v)
		}
		err = serving.Panicked(v)
	}()
	return x.route.Handle(x.call)
}

// otherMethod answers OPTIONS, and refuses methods that no route of the path has.
func (p *path) otherMethod(out *response, r *http.Request) {
	h := out.Header()
	h.Set("Allow", p.allow)
	if r.Method != http.MethodOptions {
		out.fail(out, p.routes[0].Shape, serving.WrongMethod(r.Method, p.name, p.allow))
		return
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", p.allow)
		allowed := "Authorization, Content-Type, OpenAI-Beta, X-Api-Key, X-Request-Id"
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			allowed = asked
		}
		h.Set("Access-Control-Allow-Headers", allowed)
		h.Set("Access-Control-Max-Age", "86400")
	}
	out.WriteHeader(http.StatusNoContent)
}
