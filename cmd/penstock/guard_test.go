package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// shake makes a connection to a server with these certificates, and returns the name
// in the certificate that it shows.
func shake(t *testing.T, g *guard, client *tls.Config) (name string, err error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", g.tls())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			err = c.(*tls.Conn).Handshake()
			io.WriteString(c, "x")
			c.Close()
		}
		served <- err
	}()
	client.InsecureSkipVerify = true
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		name = c.ConnectionState().PeerCertificates[0].DNSNames[0]
		_, err = io.ReadAll(c) // a refused certificate of a client is seen here
		c.Close()
	}
	if e := <-served; err == nil {
		err = e
	}
	return name, err
}

// replaceFile puts a copy of a file in another's place.
func replaceFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// New connections see the certificate that was read last; a wrong file leaves the
// old one.
func TestCertificateReload(t *testing.T) {
	flags := &guardFlags{TLSMinVersion: "1.2"}
	flags.TLSCert, flags.TLSKey = certificate(t, "old.example.org")
	g, err := flags.open()
	if err != nil {
		t.Fatal(err)
	}
	see := func(want string) {
		t.Helper()
		if name, err := shake(t, g, &tls.Config{}); err != nil || name != want {
			t.Errorf("%s, %v; want %s", name, err, want)
		}
	}
	see("old.example.org")
	cert, key := certificate(t, "new.example.org")
	replaceFile(t, cert, flags.TLSCert) // without its key it fits nothing
	g.changed(quiet)
	see("old.example.org")
	replaceFile(t, key, flags.TLSKey)
	g.changed(quiet)
	see("new.example.org")
	if err := os.Remove(flags.TLSCert); err != nil {
		t.Fatal(err)
	}
	g.changed(quiet)
	see("new.example.org")
}

func TestOldestVersionOfTLS(t *testing.T) {
	for least, fails := range map[string]map[uint16]bool{
		"1.2": {tls.VersionTLS10: true, tls.VersionTLS11: true, tls.VersionTLS12: false, tls.VersionTLS13: false},
		"1.3": {tls.VersionTLS11: true, tls.VersionTLS12: true, tls.VersionTLS13: false},
	} {
		flags := &guardFlags{TLSMinVersion: least}
		flags.TLSCert, flags.TLSKey = certificate(t, "a.example.org")
		g, err := flags.open()
		if err != nil {
			t.Fatal(err)
		}
		for version, want := range fails {
			if _, err := shake(t, g, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}); (err != nil) != want {
				t.Errorf("at least %s, with %s: %v", least, tls.VersionName(version), err)
			}
		}
	}
}

// authority signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) (a authority, file string) {
	t.Helper()
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, file
}

// client is a configuration with a certificate that the authority has signed.
func (a authority) client(t *testing.T) *tls.Config {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// With --tls-client-ca nobody gets in without a certificate of that authority, and
// another authority that takes its place counts at once.
func TestClientCertificates(t *testing.T) {
	ours, file := newAuthority(t)
	theirs, other := newAuthority(t)
	flags := &guardFlags{TLSMinVersion: "1.2", TLSClientCA: file}
	flags.TLSCert, flags.TLSKey = certificate(t, "a.example.org")
	g, err := flags.open()
	if err != nil {
		t.Fatal(err)
	}
	try := func(who string, client *tls.Config, want bool) {
		t.Helper()
		if _, err := shake(t, g, client); (err == nil) != want {
			t.Errorf("%s: %v", who, err)
		}
	}
	try("nobody", &tls.Config{}, false)
	try("ours", ours.client(t), true)
	try("theirs", theirs.client(t), false)
	replaceFile(t, other, file)
	g.changed(quiet)
	try("ours, later", ours.client(t), false)
	try("theirs, later", theirs.client(t), true)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := g.expose([]net.Listener{l}, address{"0.0.0.0", 1}); err != nil {
		t.Errorf("certificates of clients guard a server, too: %v", err)
	}
}

// A running server notices keys that penstock key adds and removes, and reads its
// files at SIGHUP.
func TestKeysOfRunningServer(t *testing.T) {
	dir := t.TempDir()
	model, file := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "keys")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 256}); err != nil {
		t.Fatal(err)
	}
	old, err := access.Add(file, access.Key{Name: "old", Scopes: []access.Scope{access.Infer}})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--api-key-file", file, "--max-batch", "1", model)
	status := func(key string) int {
		r, err := http.NewRequest("GET", s.url+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	await := func(key string, want int) { // a test that hangs here has failed
		for status(key) != want {
			time.Sleep(10 * time.Millisecond)
		}
	}
	await(old, 200)
	fresh, err := access.Add(file, access.Key{Name: "fresh", Scopes: []access.Scope{access.Infer}})
	if err != nil {
		t.Fatal(err)
	}
	await(fresh, 200)
	if err := access.Remove(file, "old"); err != nil {
		t.Fatal(err)
	}
	await(old, 401)
	if runtime.GOOS != "windows" {
		if err := s.process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := access.Remove(file, "fresh"); err != nil {
		t.Fatal(err)
	}
	await(fresh, 401)
	s.stop(t)
	if log := s.stderr.String(); !strings.Contains(log, "there is no API key any more") || strings.Contains(log, fresh) {
		t.Errorf("%s", log)
	}
}

// Reading the files again changes nothing when the file is wrong.
func TestWrongKeysLeaveTheOldOnes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := (&guardFlags{APIKeyFile: path}).open()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.changed(quiet)
	if g.keys.Find("secret") == nil {
		t.Error("a wrong file has taken the keys away")
	}
	if err := os.WriteFile(path, []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.changed(quiet)
	if g.keys.Find("secret") != nil {
		t.Error("a removed key is still accepted")
	}
}

// The file of keys that a reload names is in force from then on: it is the one that is
// watched, and no change of another file brings the old one's keys back.
func TestReloadNamesAnotherFileOfKeys(t *testing.T) {
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old, "old-secret\n")
	write(fresh, "fresh-secret\n")
	g, err := (&guardFlags{APIKeyFile: old}).open()
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{log: quiet}
	g.register(t.Context(), r)
	g.watch(t.Context(), quiet)
	for _, p := range r.parts {
		if err := p.apply(&serveCommand{Guard: guardFlags{APIKeyFile: fresh}}); err != nil {
			t.Fatal(err)
		}
	}
	g.changed(quiet) // as when a certificate is renewed
	if g.keys.Find("old-secret") != nil || g.keys.Find("fresh-secret") == nil {
		t.Error("the keys of before the reload are back")
	}
	write(fresh, "fresher-secret\n")
	for end := time.Now().Add(20 * time.Second); g.keys.Find("fresher-secret") == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new file is not watched")
		}
	}
	for _, p := range r.parts { // a file that is wrong leaves the last one in force
		_ = p.apply(&serveCommand{Guard: guardFlags{APIKeyFile: filepath.Join(dir, "none")}})
	}
	g.changed(quiet)
	if g.keys.Find("fresher-secret") == nil || !slices.Equal(g.files(), []string{fresh}) {
		t.Errorf("%v is in force", g.files())
	}
}

// What a key has used of a server is there when the server has ended, and a quota
// holds for the next one.
func TestUsageOutlastsTheServer(t *testing.T) {
	dir := t.TempDir()
	model, file := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "keys")
	if err := tinymodel.Write(model, tinymodel.Options{Type: quant.Q8_0, Context: 256}); err != nil {
		t.Fatal(err)
	}
	key, err := access.Add(file, access.Key{Name: "alice", Scopes: []access.Scope{access.Infer}, Limits: access.Limits{TokensPerMonth: 10}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(s *child) int {
		r, err := http.NewRequest("POST", s.url+"/v1/completions", strings.NewReader(`{"prompt":[5,6,7],"max_tokens":9,"ignore_eos":true}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", key)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, want := range []int{200, 429} {
		s := serve(t, "--api-key-file", file, "--max-batch", "1", model)
		if got := ask(s); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
		s.stop(t)
	}
	out, err := program(t, "usage", "--api-key-file", file, "--json").Output()
	if want := `"key":"alice","requests":1,"prompt_tokens":3,"cached_tokens":0,"completion_tokens":9}]`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = program(t, "usage", "--api-key-file", file, "--since", "all").Output()
	if err != nil || !strings.Contains(string(out), "alice         1       3       0           9") {
		t.Errorf("%v\n%s", err, out)
	}
}
