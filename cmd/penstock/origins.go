package main

import (
	"fmt"
	"net/http"
	"strings"
)

// pageFlags say which web pages may use the server, and by which names it is
// known to browsers.
type pageFlags struct {
	CORSOrigin     string   `name:"cors-origin" help:"Origin of web pages that may use the server, or *." env:"PENSTOCK_CORS_ORIGIN"`
	AllowedOrigins []string `help:"Origins of further web pages that may use the server, or *." placeholder:"https://HOST" env:"PENSTOCK_ALLOWED_ORIGINS"`
	AllowedHosts   []string `help:"Host names that a server on a loopback address answers to besides localhost, or *." placeholder:"HOST" env:"PENSTOCK_ALLOWED_HOSTS"`
}

// check refuses values that no browser ever sends.
func (f *pageFlags) check() error {
	for flag, origins := range map[string][]string{"--cors-origin": {f.CORSOrigin}, "--allowed-origins": f.AllowedOrigins} {
		for _, o := range origins {
			if o == "*" || o == "" && flag == "--cors-origin" {
				continue
			}
			if err := new(http.CrossOriginProtection).AddTrustedOrigin(o); err != nil {
				return fmt.Errorf("%s: %q is not the origin of a page: write https://HOST or https://HOST:PORT, without a path", flag, o)
			}
		}
	}
	for _, h := range f.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/: ") {
			return fmt.Errorf("--allowed-hosts: %q is not a host name: write it without scheme and port", h)
		}
	}
	return nil
}
