package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/server"
)

// greeting is what serve prints when the server is ready: what runs, and
// commands to try, which work as they stand.
type greeting struct {
	at       address // with the port that the system chose, if it was 0
	cert     *tls.Certificate
	certFile string
	keyFile  string // empty: no keys
	digests  bool   // the file does not have the keys themselves
}

// chatBody is a request for an answer, to try.
const chatBody = `{"messages":[{"role":"user","content":"Why is the sky blue?"}]}`

// encoderText is for models that make embeddings and generate nothing.
const encoderText = `%s (%s, %.0f M parameters) loaded in %.1f s: %.0f MB of weights
%s kernels on %d threads of %s; texts of up to %d tokens

  ask                   %s
%s
Ctrl-C stops the server.
`

const greetingText = `%s (%s, %.0f M parameters) loaded in %.1f s: %.0f MB of weights
%s kernels on %d threads of %s; context %d, batch %d, KV cache (%s) up to %.0f MB

  chat in the browser   %s/ui/
  ask                   %s
  measure               %s
%s
Ctrl-C stops the server.
`

func (g greeting) print(out io.Writer, in *server.Deployment, kv fmt.Stringer) {
	config, e := in.Config, in.Engine.Config()
	note := ""
	if g.keyFile != "" {
		note = fmt.Sprintf("\nAPI_KEY is one of the keys in %s.", g.keyFile)
	}
	if g.digests {
		note = fmt.Sprintf("\nAPI_KEY is a key that `penstock key add` has printed; %s has their digests.", g.keyFile)
	}
	if config.Encoder {
		path, body := "/v1/embeddings", `{"input":"Why is the sky blue?"}`
		if config.Labels > 0 {
			path, body = "/rerank", `{"query":"Why is the sky blue?","documents":["Air scatters blue light.","Bread is baked."]}`
		}
		fmt.Fprintf(out, encoderText, config.Name, config.Quantization, float64(config.Params)/1e6, in.Loaded.Seconds(), float64(config.WeightBytes)/1e6,
			e.Kernels.Tier(), in.Threads, cpu.Name(), e.Context, g.ask(path, body), note)
		return
	}
	url := g.target().url
	fmt.Fprintf(out, greetingText, config.Name, config.Quantization, float64(config.Params)/1e6, in.Loaded.Seconds(), float64(config.WeightBytes)/1e6,
		e.Kernels.Tier(), in.Threads, cpu.Name(), e.Context, e.MaxBatch, kv, float64(in.CacheBytes)/1e6,
		url, g.ask("/v1/chat/completions", chatBody), g.measure(), note)
}

// target is how a client on this machine reaches the server.
type target struct {
	url      string
	resolve  string // value of curl's --resolve, NAME:PORT:ADDRESS; empty: not needed
	trusted  bool   // the system's roots verify the certificate
	mismatch bool   // the certificate is for no host at all
}

func (g greeting) target() target {
	host := g.at.host
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	port := strconv.Itoa(g.at.port)
	if g.cert == nil {
		return target{url: "http://" + urlHost(host, port), trusted: true}
	}
	t := target{}
	leaf := g.cert.Leaf
	name := host
	if leaf.VerifyHostname(host) != nil {
		if name = nameIn(leaf); name == "" {
			name, t.mismatch = host, true
		} else {
			t.resolve = name + ":" + port + ":" + bracketed(host)
		}
	}
	t.url = "https://" + urlHost(name, port)
	chain := x509.NewCertPool()
	for _, der := range g.cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Intermediates: chain})
	t.trusted = err == nil
	return t
}

// nameIn is a host name or address that a certificate is valid for; empty: none.
func nameIn(leaf *x509.Certificate) string {
	for _, name := range leaf.DNSNames {
		if !strings.HasPrefix(name, "*") {
			return name
		}
	}
	for _, name := range leaf.DNSNames {
		return "penstock" + strings.TrimPrefix(name, "*")
	}
	for _, ip := range leaf.IPAddresses {
		return ip.String()
	}
	return ""
}

// ask is a command that asks the model something.
func (g greeting) ask(path, body string) string {
	t := g.target()
	words := []string{"curl"}
	switch {
	case t.mismatch:
		words = append(words, "-k")
	case !t.trusted:
		words = append(words, "--cacert", quote(g.certFile))
	}
	if t.resolve != "" {
		words = append(words, "--resolve", quote(t.resolve))
	}
	words = append(words, quote(t.url+path), "-H 'Content-Type: application/json'")
	if g.keyFile != "" {
		words = append(words, `-H "Authorization: Bearer $API_KEY"`)
	}
	return strings.Join(append(words, "-d '"+body+"'"), " ")
}

// measure is a command that puts the server under load.
func (g greeting) measure() string {
	t := g.target()
	words := []string{"penstock bench load --url"}
	if t.resolve != "" { // bench load has no --resolve
		words = append(words, quote("https://"+urlHost(t.host(), strconv.Itoa(g.at.port))), "--insecure")
	} else if words = append(words, quote(t.url)); t.mismatch || !t.trusted {
		words = append(words, "--insecure")
	}
	switch {
	case g.digests:
		words = append([]string{`echo "$API_KEY" |`}, append(words, "--api-key-file -")...)
	case g.keyFile != "":
		words = append(words, "--api-key-file", quote(g.keyFile))
	}
	return strings.Join(words, " ")
}

// host is the address in resolve.
func (t target) host() string {
	parts := strings.SplitN(t.resolve, ":", 3)
	return strings.Trim(parts[len(parts)-1], "[]")
}

func urlHost(host, port string) string {
	return net.JoinHostPort(strings.Replace(host, "%", "%25", 1), port)
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// quote protects a word from the shell where it needs that.
func quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/:._-=,+@", r) && !(r >= '0' && r <= '9') && !(r >= 'a' && r <= 'z') && !(r >= 'A' && r <= 'Z')
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
