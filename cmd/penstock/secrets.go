package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// withoutBOM removes the mark that some editors begin UTF-8 files with, and
// refuses what is not UTF-8.
func withoutBOM(text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it is UTF-16 or binary: save it as UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8: save it as UTF-8")
	}
	return text, nil
}

// certificates are what the server shows of itself, and whom it asks for a
// certificate. Connections that exist keep what they began with.
type certificates struct {
	current atomic.Pointer[tls.Config]
}

// openCertificates reads the files of the flags; nil means that the server speaks
// plain HTTP.
func openCertificates(f *guardFlags) (*certificates, error) {
	if f.TLSCert == "" && f.TLSKey == "" {
		if f.TLSClientCA != "" {
			return nil, &usageError{errors.New("--tls-client-ca needs --tls-cert and --tls-key: certificates of clients are part of TLS"), "penstock serve"}
		}
		return nil, nil
	}
	if f.TLSCert == "" || f.TLSKey == "" {
		return nil, &usageError{errors.New("--tls-cert and --tls-key go together"), "penstock serve"}
	}
	c := &certificates{}
	return c, c.load(f)
}

// load reads the files of the flags. If one of them is wrong, what was read before stays.
func (c *certificates) load(f *guardFlags) error {
	pair, err := readCertificate(f.TLSCert, f.TLSKey)
	if err != nil {
		return err
	}
	t := &tls.Config{
		Certificates: []tls.Certificate{*pair}, MinVersion: f.minVersion(), NextProtos: []string{"h2", "http/1.1"},
	}
	if path := f.TLSClientCA; path != "" {
		text, err := readPEM("tls-client-ca", path, "CERTIFICATE-----")
		if err != nil {
			return err
		}
		t.ClientCAs = x509.NewCertPool()
		if !t.ClientCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("--tls-client-ca %s: no certificate in it can be read", path)
		}
		t.ClientAuth = tls.RequireAndVerifyClientCert
		t.SessionTicketsDisabled = true // a resumed session would outlive an authority that was removed
	}
	c.current.Store(t)
	return nil
}

// pair is the certificate at this moment.
func (c *certificates) pair() *tls.Certificate { return &c.current.Load().Certificates[0] }

// config has every new connection begin with what was read last.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair(), nil },
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current.Load(), nil },
	}
}

// readPEM reads a file that has to hold a block of some type.
func readPEM(flag, path, block string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		text, err = withoutBOM(text)
	}
	if err == nil && !bytes.Contains(text, []byte(block)) {
		err = fmt.Errorf("no PEM block of type %s in it", strings.Trim(block, "- "))
	}
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, path, reason(err))
	}
	return text, nil
}

// readCertificate reads the files of --tls-cert and --tls-key.
func readCertificate(certPath, keyPath string) (*tls.Certificate, error) {
	cert, err := readPEM("tls-cert", certPath, "CERTIFICATE-----")
	if err != nil {
		return nil, err
	}
	key, err := readPEM("tls-key", keyPath, "PRIVATE KEY-----")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", certPath, keyPath, err)
	}
	return &pair, nil
}

// expiry warns of a certificate that clients will refuse today.
func expiry(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate ended on %s: clients will refuse it", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate begins on %s: clients will refuse it until then", leaf.NotBefore.Format(time.DateOnly))
	default:
		return ""
	}
}
