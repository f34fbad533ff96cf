package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// Keys and certificates are read before the model is loaded: a wrong file is
// known at once, not after minutes.

// readKeys reads a file of keys, one a line. Empty lines and lines that begin
// with # do not count.
func readKeys(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("--api-key-file %s: %w", path, fmt.Errorf(format, args...))
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong("%w", reason(err))
	}
	file, err = withoutBOM(file)
	if err != nil {
		return nil, wrong("%w", err)
	}
	var keys []string
	for i, line := range strings.Split(string(file), "\n") {
		key := strings.TrimSpace(line)
		if key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		// A client sends the key in a header, where nothing else is allowed.
		if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, wrong("line %d: a key is one word of ASCII letters, digits and signs", i+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, wrong("no key in it: write one a line")
	}
	return keys, nil
}

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

// readCertificate reads the files of --tls-cert and --tls-key; nil means that
// the server speaks plain HTTP.
func readCertificate(certPath, keyPath string) (*tls.Certificate, error) {
	if certPath == "" && keyPath == "" {
		return nil, nil
	}
	if certPath == "" || keyPath == "" {
		return nil, &usageError{errors.New("--tls-cert and --tls-key go together"), "penstock serve"}
	}
	read := func(flag, path, block string) ([]byte, error) {
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
	cert, err := read("tls-cert", certPath, "CERTIFICATE-----")
	if err != nil {
		return nil, err
	}
	key, err := read("tls-key", keyPath, "PRIVATE KEY-----")
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
