package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// identify notes whose request it is: the owner of the key, or where there are
// no keys, the owner of a certificate or an address. Only public routes may be
// asked by anybody.
func (s *Server) identify(call *serving.Call, route *serving.Route) *serving.Error {
	c, r := &call.Client, call.R
	c.Priority = engine.Normal
	if s.cfg.Keys == nil {
		c.Name = s.nameless(call)
		if route.Trusted && !local(r) {
			return serving.Forbidden("%s needs an API key, unless the server listens to its own machine only", route.Path)
		}
		return nil
	}
	key := s.cfg.Keys.Find(sent(r.Header))
	if key == nil {
		if s.isPublic(route) {
			return nil
		}
		return serving.Unauthorized()
	}
	c.Name, c.Key, c.Priority = key.Name, key, int(key.Limits.Priority)
	if !s.isPublic(route) && !key.May(scope(route)) {
		return serving.OutOfScope(key, scope(route), route.Path)
	}
	return nil
}

// sent is the key that a client has sent; empty: none.
func sent(h http.Header) string {
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return h.Get("X-Api-Key")
}

// isPublic reports whether a route may be asked without a key.
func (s *Server) isPublic(r *serving.Route) bool {
	return r.Public || r.Metrics && s.cfg.PublicMetrics
}

// scope is what a key must open for a route.
func scope(r *serving.Route) access.Scope {
	switch {
	case r.Trusted:
		return access.Admin
	case r.Metrics:
		return access.Metrics
	default:
		return access.Infer
	}
}

// nameless is the name of a client without a key: that of its certificate, which
// somebody who is trusted has signed, or its address.
func (s *Server) nameless(call *serving.Call) string {
	if t := call.R.TLS; t != nil && len(t.VerifiedChains) > 0 {
		leaf := t.VerifiedChains[0][0]
		switch {
		case leaf.Subject.CommonName != "":
			return leaf.Subject.CommonName
		case len(leaf.DNSNames) > 0:
			return leaf.DNSNames[0]
		}
	}
	return call.Address
}

// local reports whether a request comes from this machine itself: its listener has
// a loopback address, and no proxy has passed the request on.
func local(r *http.Request) bool {
	loopback, _ := r.Context().Value(loopbackKey{}).(bool)
	return loopback && !slices.ContainsFunc(passedOn[:], func(name string) bool { return len(r.Header[name]) > 0 })
}

// passedOn are the headers that proxies add to what they pass on.
var passedOn = [...]string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-Ip"}

// proxies are the addresses of the proxies that are believed about whose request
// they pass on.
type proxies []netip.Prefix

// client is the address that a request comes from. Each proxy appends the address
// of its client to X-Forwarded-For. The list is read from its end, as far as
// proxies are trusted: what stands before that, anybody can have written.
func (p proxies) client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a test's, or a socket without addresses
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || len(p) == 0 {
		return host
	}
	addr = addr.Unmap().WithZone("")
	list := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(list) - 1; i >= 0 && p.trust(addr); i-- {
		before, ok := parseForwarded(list[i])
		if !ok {
			break
		}
		addr = before
	}
	return addr.String()
}

func (p proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// parseForwarded reads an element of X-Forwarded-For, which some proxies write with
// a port.
func parseForwarded(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

// requestID is the client's own x-request-id if it is short and printable, so
// that it can be repeated in a header and a log line, or else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 {
		return serving.NewID("req-")
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return serving.NewID("req-")
		}
	}
	return id
}
