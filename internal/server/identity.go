package server

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// clients names the clients after the positions of their keys. Only digests of the
// keys are kept. The time that it takes to look up a digest tells nothing about
// how much of a guessed key was right.
func clients(keys []string) map[[sha256.Size]byte]string {
	m := make(map[[sha256.Size]byte]string, len(keys))
	for i, k := range keys {
		m[sha256.Sum256([]byte(k))] = fmt.Sprintf("key-%d", i+1)
	}
	return m
}

// identify notes whose request it is: the owner of the key, or where there are
// no keys, the address. Only public routes may be asked by anybody.
func (s *Server) identify(call *serving.Call, route *serving.Route) *serving.Error {
	public := route.Public
	call.Client.Priority = engine.Normal
	r := call.R
	if len(s.keys) == 0 {
		call.Client.Name = r.RemoteAddr
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			call.Client.Name = host
		}
		if loopback, _ := r.Context().Value(loopbackKey{}).(bool); route.Trusted && !loopback {
			return serving.Forbidden("%s needs an API key, unless the server listens to its own machine only", route.Path)
		}
		return nil
	}
	key := r.Header.Get("X-Api-Key")
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		key = strings.TrimSpace(token)
	}
	if name, ok := s.keys[sha256.Sum256([]byte(key))]; ok && key != "" {
		call.Client.Name = name
		return nil
	}
	if public {
		return nil
	}
	return serving.Unauthorized()
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
