package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// TestAddress: --host and --port replace their part of --addr, from wherever
// they come; a contradiction within one place is an error.
func TestAddress(t *testing.T) {
	for _, c := range []struct {
		name, args, want string
		env              map[string]string
		file             map[string]any
	}{
		{name: "default", want: "127.0.0.1:8080"},
		{name: "whole", args: "--addr [::1]:9", want: "[::1]:9"},
		{name: "all networks", args: "--addr :9", want: ":9"},
		{name: "host", args: "--host 0.0.0.0", want: "0.0.0.0:8080"},
		{name: "host in brackets", args: "--host [::1] --port 0", want: "[::1]:0"},
		{name: "port", args: "--port 8000", want: "127.0.0.1:8000"},
		{name: "port of the command line, host of the environment", args: "--port 8000", env: map[string]string{"PENSTOCK_ADDR": "0.0.0.0:80"}, want: "0.0.0.0:8000"},
		{name: "address of the command line", args: "--addr a:1", env: map[string]string{"PENSTOCK_HOST": "b", "PENSTOCK_PORT": "2"}, want: "a:1"},
		{name: "environment before file", env: map[string]string{"PENSTOCK_PORT": "2"}, file: map[string]any{"addr": "a:1"}, want: "a:2"},
		{name: "file before default", file: map[string]any{"port": "3"}, want: "127.0.0.1:3"},
		{name: "said twice", args: "--addr a:1 --host a --port 1", want: "a:1"},
		{name: "contradiction", args: "--addr a:1 --port 2", want: "--addr a:1 and --port 2 contradict each other: give one of them (see `penstock serve --help`)"},
		{name: "contradiction in the file", file: map[string]any{"addr": "a:1", "host": "b"}, want: "--addr a:1 and --host b contradict each other: give one of them (see `penstock serve --help`)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			var cli commands
			parser, err := newParser(&cli, &config{values: c.file}, terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.Parse(append([]string{"serve"}, strings.Fields(c.args)...))
			if err != nil {
				t.Fatal(err)
			}
			got, err := cli.Serve.Listen.address(parsed)
			text := got.String()
			if err != nil {
				text = err.Error()
			}
			if text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

// TestListenOnBothFamilies: localhost is 127.0.0.1 and ::1, on the same port.
func TestListenOnBothFamilies(t *testing.T) {
	listeners, err := address{"localhost", 0}.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"127.0.0.1"}
	if hasIPv6Loopback() {
		want = append(want, "::1")
	}
	port := ""
	for i, l := range listeners {
		defer l.Close()
		host, p, err := net.SplitHostPort(l.Addr().String())
		if err != nil || i >= len(want) || host != want[i] || port != "" && p != port {
			t.Errorf("listens on %s, %v", l.Addr(), err)
		}
		port = p
		if c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	}
	if len(listeners) != len(want) || exposed(listeners) {
		t.Errorf("%d listeners, want %v; exposed: %v", len(listeners), want, exposed(listeners))
	}
	_, err = address{"localhost", listeners[0].Addr().(*net.TCPAddr).Port}.listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another server?") {
		t.Errorf("a taken port: %v", err)
	}
	everywhere, err := address{"", 0}.listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere[0].Close()
	if !exposed(everywhere) {
		t.Error("all networks are not exposed")
	}
}

// TestReadKeys: a mark at the beginning of a file is no part of the first key.
func TestReadKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("\uFEFFfirst\r\n# a comment\n\n second \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := readKeys(path)
	ring := access.NewRing(keys)
	if err != nil || len(keys) != 2 || ring.Find("first") == nil || ring.Find("second") == nil {
		t.Errorf("keys %v, %v", keys, err)
	}
}

// certificate writes a certificate that signs itself, for these names.
func certificate(t *testing.T, names ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "my cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestReadCertificate: what cannot be served is refused, with the flag.
func TestReadCertificate(t *testing.T) {
	cert, key := certificate(t, "localhost")
	_, other := certificate(t, "localhost")
	if pair, err := readCertificate(cert, key); err != nil || pair.Leaf.VerifyHostname("localhost") != nil {
		t.Errorf("a good pair: %v", err)
	}
	for _, c := range []struct{ cert, key, want string }{
		{cert, other, "--tls-cert .*, --tls-key .*: .*private key does not match"},
		{key, cert, "--tls-cert .*key.pem: no PEM block of type CERTIFICATE"},
		{cert, cert, "--tls-key .*cert.pem: no PEM block of type PRIVATE KEY"},
	} {
		if _, err := readCertificate(c.cert, c.key); err == nil || !regexp.MustCompile(c.want).MatchString(err.Error()) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := openCertificates(&guardFlags{TLSCert: cert}); err == nil || !strings.Contains(err.Error(), "go together") {
		t.Errorf("a certificate without a key: %v", err)
	}
	now := time.Now()
	leaf := &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	for at, want := range map[time.Time]string{now: "", now.Add(2 * time.Hour): "ended", now.Add(-2 * time.Hour): "begins"} {
		if text := expiry(leaf, at); !strings.Contains(text, want) || (want == "") != (text == "") {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// TestGreetingForCurl has what the printed command must say to curl.
func TestGreetingForCurl(t *testing.T) {
	load := func(names ...string) *tls.Certificate {
		cert, key := certificate(t, names...)
		pair, err := readCertificate(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	const body = ` -H 'Content-Type: application/json' -d '{"messages":[{"role":"user","content":"Why is the sky blue?"}]}'`
	for _, c := range []struct {
		name    string
		g       greeting
		want    string
		measure string
	}{
		{"as it is", greeting{at: address{"127.0.0.1", 80}}, "curl http://127.0.0.1:80/v1/chat/completions" + body, "--url http://127.0.0.1:80"},
		{"all networks", greeting{at: address{"", 80}}, "curl http://127.0.0.1:80/v1/chat/completions" + body, "--url http://127.0.0.1:80"},
		{"all networks of IPv6", greeting{at: address{"::", 80}}, "curl 'http://[::1]:80/v1/chat/completions'" + body, "--url 'http://[::1]:80'"},
		{"IPv6 with a zone", greeting{at: address{"fe80::1%eth0", 80}}, "curl 'http://[fe80::1%25eth0]:80/v1/chat/completions'" + body, "--url 'http://[fe80::1%25eth0]:80'"},
		{"keys", greeting{at: address{"localhost", 80}, keyFile: "k"},
			"curl http://localhost:80/v1/chat/completions" + strings.Replace(body, " -d", ` -H "Authorization: Bearer $API_KEY" -d`, 1), "--url http://localhost:80 --api-key-file k"},
		{"a certificate for the host", greeting{at: address{"localhost", 80}, cert: load("localhost"), certFile: "c d"},
			"curl --cacert 'c d' https://localhost:80/v1/chat/completions" + body, "--url https://localhost:80 --insecure"},
		{"a certificate for another name", greeting{at: address{"0.0.0.0", 80}, cert: load("*.x.org", "llm.x.org"), certFile: "c"},
			"curl --cacert c --resolve llm.x.org:80:127.0.0.1 https://llm.x.org:80/v1/chat/completions" + body, "--url https://127.0.0.1:80 --insecure"},
		{"a certificate for no name", greeting{at: address{"0.0.0.0", 80}, cert: load(), certFile: "c"},
			"curl -k https://127.0.0.1:80/v1/chat/completions" + body, "--url https://127.0.0.1:80 --insecure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.g.ask("/v1/chat/completions", chatBody); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			if got := strings.TrimPrefix(c.g.measure(), "penstock bench load "); got != c.measure {
				t.Errorf("%s\nwant %s", got, c.measure)
			}
		})
	}
}

// TestGreetingWorks runs the printed command in a shell, against a server with
// keys, a certificate for another name, and IPv6.
func TestGreetingWorks(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "m.gguf")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 256}); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte("secret-1\nsecret-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, "llm.example.org")
	host := "127.0.0.1"
	if hasIPv6Loopback() {
		host = "::1"
	}
	for name, args := range map[string][]string{
		"plain":     nil,
		"keys":      {"--api-key-file", keys},
		"TLS":       {"--tls-cert", cert, "--tls-key", key},
		"IPv6":      {"--host", host},
		"all":       {"--host", "0.0.0.0", "--api-key-file", keys, "--tls-cert", cert, "--tls-key", key},
		"localhost": {"--host", "localhost"},
		"open":      {"--host", "0.0.0.0", "--insecure"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append([]string{"--port", "0", "--max-batch", "1", model}, args...)...)
			command := shell(t, s.ask+" --silent --show-error --max-time 60")
			command.Env = append(os.Environ(), "API_KEY=secret-2")
			out, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(out), `"choices"`) {
				t.Errorf("%s\n%v\n%s", s.ask, err, out)
			}
			s.stop(t)
			if warned := strings.Contains(s.stderr.String(), "warning: everybody who reaches 0.0.0.0:"); warned != (name == "open") {
				t.Errorf("warns: %v\n%s", warned, &s.stderr)
			}
		})
	}
}

// --ollama adds a listener on the port that Ollama's clients look for. Whoever else has
// it is named as the reason, and nothing stays open.
func TestListensOnOllamasPort(t *testing.T) {
	f := addressFlags{Ollama: true}
	listeners, failed := f.all(t.Context(), address{"127.0.0.1", 0})
	switch {
	case failed != nil: // this machine has an Ollama
		if !strings.Contains(failed.Error(), strconv.Itoa(ollamaPort)) {
			t.Fatal(failed)
		}
	default:
		defer closeAll(listeners)
		if len(listeners) != 2 || listeners[0].Addr().(*net.TCPAddr).Port == ollamaPort || listeners[1].Addr().(*net.TCPAddr).Port != ollamaPort {
			t.Errorf("listens on %v", listeners)
		}
	}
	// Now it is taken in any case, by us or by somebody else.
	if more, err := f.all(t.Context(), address{"127.0.0.1", 0}); err == nil || !strings.Contains(err.Error(), "11434") {
		closeAll(more)
		t.Errorf("a port that is taken: %v", err)
	}
	if more, err := f.all(t.Context(), address{"127.0.0.1", ollamaPort}); err == nil { // the server's own port is that one: it asks for it once
		closeAll(more)
		t.Error("the port is had twice")
	}
}
