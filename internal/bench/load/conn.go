package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// transport is the connection of one client; it carries one request at a time.
type transport interface {
	// do sends a message and feeds the answer to a. An error means that no complete answer came.
	do(ctx context.Context, m message, a *answer) error
	close()
}

// endpoint is a parsed target.
type endpoint struct {
	addr  string      // host:port to dial
	tls   *tls.Config // nil: no TLS
	fresh bool
	head  []byte       // HTTP/1.1: request line and headers up to the value of Content-Length
	h2    *http.Client // HTTP/2: shared by all clients
	url   string
	key   string
}

func (t Target) endpoint() (*endpoint, error) {
	u, base, err := parseURL(t.URL)
	if err != nil {
		return nil, err
	}
	path := t.Dialect.path(t.Stream)
	if path == "" {
		return nil, fmt.Errorf("dialect %q is not known", t.Dialect)
	}
	path = base + path
	e := &endpoint{addr: u.Host, fresh: t.Fresh, url: u.Scheme + "://" + u.Host + path, key: t.APIKey}
	if u.Port() == "" {
		e.addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if u.Scheme == "https" {
		e.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(64)}
	}
	if t.HTTP2 {
		e.h2 = http2Client(e.tls, t.Fresh)
		return e, nil
	}
	var h strings.Builder
	fmt.Fprintf(&h, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: penstock-bench\r\nAccept: */*\r\nContent-Type: application/json\r\n", path, u.Host)
	if t.APIKey != "" {
		fmt.Fprintf(&h, "Authorization: Bearer %s\r\n", t.APIKey)
	}
	if t.Fresh {
		h.WriteString("Connection: close\r\n")
	}
	h.WriteString("Content-Length: ")
	e.head = []byte(h.String())
	return e, nil
}

// parseURL accepts a base or an endpoint's URL and gives the path before the endpoint.
func parseURL(raw string) (*url.URL, string, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", fmt.Errorf("%q is not an http or https URL", raw)
	}
	_, base, _ := dialectOfPath(u.EscapedPath())
	if strings.ContainsAny(base+u.Host, " \r\n") {
		return nil, "", fmt.Errorf("%q is not a usable URL", raw)
	}
	return u, base, nil
}

func (e *endpoint) dial() transport {
	if e.h2 != nil {
		return &h2{e}
	}
	return &h1{endpoint: e}
}

func (e *endpoint) close() {
	if e.h2 != nil {
		e.h2.CloseIdleConnections()
	}
}

// h2 sends HTTP/2 through net/http. All clients share one connection, as the requests of one program would.
type h2 struct{ *endpoint }

func http2Client(config *tls.Config, fresh bool) *http.Client {
	var p http.Protocols
	if config == nil {
		p.SetUnencryptedHTTP2(true)
	} else {
		p.SetHTTP2(true)
	}
	return &http.Client{Transport: &http.Transport{
		Protocols: &p, TLSClientConfig: config, DisableKeepAlives: fresh, DisableCompression: true,
	}}
}

func (t *h2) do(ctx context.Context, m message, a *answer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(m.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "penstock-bench")
	if m.id != "" {
		req.Header.Set("X-Request-Id", m.id)
	}
	if t.key != "" {
		req.Header.Set("Authorization", "Bearer "+t.key)
	}
	res, err := t.h2.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		return fmt.Errorf("the server answered in %s, not HTTP/2", res.Proto)
	}
	a.status = res.StatusCode
	return a.readAll(res.Body)
}

func (t *h2) close() {}

// request writes the whole request into one buffer, so that it is sent by one system call.
func (e *endpoint) request(buf []byte, m message) []byte {
	buf = append(buf[:0], e.head...)
	buf = strconv.AppendInt(buf, int64(len(m.body)), 10)
	if m.id != "" {
		buf = append(append(buf, "\r\nX-Request-Id: "...), m.id...)
	}
	buf = append(buf, "\r\n\r\n"...)
	return append(buf, m.body...)
}
