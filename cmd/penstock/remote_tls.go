package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// ownCertificate is the file with the certificate that serve shows with the same
// environment and file; empty: it speaks no TLS.
func ownCertificate(c *config) string {
	value, _ := c.values["tls-cert"].(string)
	if value = cmp.Or(os.Getenv("PENSTOCK_TLS_CERT"), value); value == "" {
		return ""
	}
	return kong.ExpandPath(value)
}

// trusting is a client for the server at host that takes the certificate in the file for
// the server's own, whoever has signed it and whatever name it has: a certificate that
// somebody made for one machine is signed by nobody whom the system knows. Any other
// certificate must be valid for host, as always. It is the usual client if the file
// cannot be read.
func trusting(path, host string) *http.Client {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	own := block.Bytes
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection verifies instead
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := state.PeerCertificates
			if string(shown[0].Raw) == string(own) {
				return nil
			}
			options := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
			for _, c := range shown[1:] {
				options.Intermediates.AddCert(c)
			}
			if _, err := shown[0].Verify(options); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
			}
			return nil
		},
	}
	return &http.Client{Transport: transport}
}

// noAnswer is the error for a server at address from which no answer came. Its text says
// what to do about err, which says why.
func noAnswer(address string, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest of it repeats the address
	}
	certificate, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, otherProtocol := errors.AsType[tls.RecordHeaderError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	text := "no server answers at " + address + ": start one with `penstock serve`, or say where it is with --host"
	switch {
	case untrusted:
		why := plain(certificate.Err).Error()
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			why = "nobody whom the system knows has signed it" // the library guesses at reasons
		}
		text = address + " shows a certificate that this machine does not trust: name a file with it, or its authority's, in SSL_CERT_FILE (" + why + ")"
	case otherProtocol || errors.Is(err, http.ErrSchemeMismatch):
		text = address + " speaks no TLS: give its address with http://"
	case isOp && op.Op == "remote error": // an alert of TLS
		text = address + " wants a certificate of the client, which this program does not send, or another version of TLS (" + plain(err).Error() + ")"
	case isNet && timeout.Timeout():
		text = address + " has not answered in time: see whether the server hangs, or say where another is with --host"
	}
	return &plainError{text, err}
}

// wantsTLS reports whether an answer says that the server speaks TLS, to a request
// without.
func wantsTLS(status int, body []byte) bool {
	return status == http.StatusBadRequest && strings.Contains(string(body), "HTTP request to an HTTPS server")
}
