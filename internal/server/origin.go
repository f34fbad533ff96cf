package server

import (
	"context"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// A web page that somebody visits can send requests to servers on their machine.
// This file refuses such requests. Clients that are no browsers never notice.

// loopbackKey marks the contexts of connections whose listener is on a loopback
// address.
type loopbackKey struct{}

// base is the context of a listener's connections.
func base(l net.Listener) context.Context {
	addr, ok := l.Addr().(*net.TCPAddr)
	return context.WithValue(context.Background(), loopbackKey{}, ok && addr.IP.IsLoopback())
}

// origins decides which web pages may use the server.
type origins struct {
	hosts   []string // names of the server besides those of the loopback interface; "*": any
	pages   []string // origins of pages that may use the server; "*": any
	foreign http.CrossOriginProtection
}

// check refuses requests that a foreign web page has made a browser send.
func (o *origins) check(r *http.Request) *serving.Error {
	if !o.hostAllowed(r) {
		return serving.Forbidden("the host name %q is not one of this server's; --allowed-hosts lists further ones", r.Host)
	}
	origin := r.Header.Get("Origin")
	if origin == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return nil // no browser: curl, SDKs, other servers
	}
	if kind, ok := simpleType(r); ok {
		return serving.UnsupportedType(kind)
	}
	if !isWeb(origin) || o.trusted(origin) {
		return nil
	}
	if o.foreign.Check(r) != nil {
		return serving.Forbidden("web pages of %q may not use this server; --allowed-origins lists those that may", origin)
	}
	return nil
}

// hostAllowed guards a server that only listens to its own machine against pages
// whose host name was made to point to it (DNS rebinding). The browser believes
// that page and server are one, so only the name gives it away. An address in
// place of a name cannot be rebound, and over TLS the certificate would not fit.
func (o *origins) hostAllowed(r *http.Request) bool {
	if loopback, _ := r.Context().Value(loopbackKey{}).(bool); !loopback || r.Host == "" || r.TLS != nil {
		return true
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	return slices.ContainsFunc(o.hosts, func(h string) bool { return h == "*" || strings.EqualFold(h, name) })
}

// isWeb says that an origin belongs to a page. Applications with a web view have
// origins of other kinds, such as app: or tauri:, which no page can claim. A
// page in a file or a sandbox has the origin null.
func isWeb(origin string) bool {
	u, err := url.Parse(origin)
	return err != nil || u.Scheme == "" || u.Scheme == "http" || u.Scheme == "https"
}

func (o *origins) trusted(origin string) bool {
	return slices.ContainsFunc(o.pages, func(p string) bool { return p == "*" || strings.EqualFold(p, origin) })
}

// simpleType returns the type of a body that a browser sends without asking the
// server first. No page that is meant to use the API sends one.
func simpleType(r *http.Request) (string, bool) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return "", false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return kind, false
	}
	return kind, kind == "text/plain" || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"
}

// allow lets a page that may use the server read the answers.
func (o *origins) allow(cors string, r *http.Request, h http.Header) {
	switch origin := r.Header.Get("Origin"); {
	case cors != "":
		h.Set("Access-Control-Allow-Origin", cors)
	case len(o.pages) > 0 && origin != "" && o.trusted(origin):
		h.Set("Access-Control-Allow-Origin", origin)
	default:
		return
	}
	h.Set("Access-Control-Expose-Headers", "x-request-id, openai-processing-ms, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "+
		"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens")
	if cors != "*" {
		h.Set("Vary", "Origin")
	}
}
