package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// guardFlags say who may use the server.
type guardFlags struct {
	APIKeyFile     string   `help:"File of API keys, as penstock key makes them, or one key a line; read again when it changes. Without it everybody may use the server." env:"PENSTOCK_API_KEY_FILE" type:"path" placeholder:"FILE" reload:""`
	Insecure       bool     `help:"Listen on addresses that other machines reach although there are no API keys." env:"PENSTOCK_INSECURE"`
	UsageFile      string   `help:"File where the usage of keys is kept; without it FILE.usage beside the keys." env:"PENSTOCK_USAGE_FILE" type:"path" placeholder:"FILE"`
	PublicMetrics  bool     `help:"Give /metrics to everybody: with API keys it needs one with the scope metrics." env:"PENSTOCK_PUBLIC_METRICS"`
	TrustedProxies []string `name:"trusted-proxy" help:"Network of proxies whose X-Forwarded-For says who asks." env:"PENSTOCK_TRUSTED_PROXY" placeholder:"CIDR"`
	TLSCert        string   `name:"tls-cert" help:"Certificate (PEM); read again when it changes." env:"PENSTOCK_TLS_CERT" type:"path" placeholder:"FILE" reload:""`
	TLSKey         string   `name:"tls-key" help:"Its key (PEM)." env:"PENSTOCK_TLS_KEY" type:"path" placeholder:"FILE" reload:""`
	TLSClientCA    string   `name:"tls-client-ca" help:"Certificates of authorities (PEM): clients need a certificate that one of them has signed." env:"PENSTOCK_TLS_CLIENT_CA" type:"path" placeholder:"FILE" reload:""`
	TLSMinVersion  string   `name:"tls-min-version" help:"Oldest version of TLS that is spoken: 1.2 or 1.3." enum:"1.2,1.3" default:"1.2" env:"PENSTOCK_TLS_MIN_VERSION" reload:""`
}

// guard is what the flags name: keys and certificates, which are read again when
// their files change.
type guard struct {
	mu      sync.Mutex         // one reading of the files at a time
	flags   guardFlags         // in force: whose files were read last
	unwatch context.CancelFunc // ends the watch over these files; nil: there is none
	usage   string             // file of the ledger
	keys    *access.Ring       // nil: everybody may use the server
	certs   *certificates      // nil: plain HTTP
	meters  *access.Meters
	ledger  *access.Ledger // nil: there are no keys
	proxies []netip.Prefix
}

// open reads keys and certificates before the model is loaded: a wrong file is
// known at once, not after minutes.
func (f *guardFlags) open() (*guard, error) {
	g := &guard{flags: *f, usage: usageFile(f.UsageFile, f.APIKeyFile)}
	keys, err := readKeys(f.APIKeyFile)
	if err != nil {
		return nil, err
	}
	if keys != nil {
		g.keys = access.NewRing(keys)
		g.meters = access.NewMeters()
		g.ledger = access.NewLedger(g.usage, g.meters)
	}
	if g.certs, err = openCertificates(f); err != nil {
		return nil, err
	}
	if g.proxies, err = networks(f.TrustedProxies); err != nil {
		return nil, err
	}
	return g, nil
}

// networks reads the values of --trusted-proxy.
func networks(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
		}
		if err != nil {
			return nil, &usageError{fmt.Errorf("--trusted-proxy %s: want an address or a network, such as 10.0.0.0/8", clip(text)), "penstock serve"}
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}

// expose refuses to let other machines use a server that asks nobody who they are,
// unless that is what was wanted. It returns a warning then.
func (g *guard) expose(listeners []net.Listener, at address) (warning string, err error) {
	if g.keys != nil || g.flags.TLSClientCA != "" || !exposed(listeners) {
		return "", nil
	}
	if g.flags.Insecure {
		return fmt.Sprintf("everybody who reaches %s may use this server: give it keys with --api-key-file", at), nil
	}
	return "", &usageError{fmt.Errorf("other machines reach %s, and there are no API keys: make one with `penstock key add NAME --api-key-file FILE` "+
		"and serve with --api-key-file FILE, or listen on 127.0.0.1, or say --insecure if everybody who reaches it may use it", at), "penstock serve"}
}

// files are those that the flags in force name.
func (g *guard) files() (files []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, path := range []string{g.flags.APIKeyFile, g.flags.TLSCert, g.flags.TLSKey, g.flags.TLSClientCA} {
		if path != "" {
			files = append(files, path)
		}
	}
	return files
}

// watch reads the files in force again whenever they change, until ctx ends or watch is
// called again because others are in force.
func (g *guard) watch(ctx context.Context, log *slog.Logger) {
	files := g.files()
	ctx, cancel := context.WithCancel(ctx)
	g.mu.Lock()
	before := g.unwatch
	g.unwatch = cancel
	g.mu.Unlock()
	if before != nil {
		before()
	}
	if len(files) == 0 {
		return
	}
	if err := access.Watch(ctx, files, func() { g.changed(log) }); err != nil {
		log.Warn("keys and certificates are read again on SIGHUP only", "error", err)
	}
}

// changed reads the files in force again. What is wrong leaves the old keys or
// certificates in place.
func (g *guard) changed(log *slog.Logger) {
	if err := g.readKeys(nil, log); err != nil {
		log.Error("the API keys stay as they were", "error", plain(err))
	}
	if err := g.readCertificates(nil, log); err != nil {
		log.Error("the certificate stays as it was", "error", plain(err))
	}
}

// register has SIGHUP read the files that the flags name by then, which are those in
// force from then on, until ctx ends.
func (g *guard) register(ctx context.Context, r *reloading) {
	reload := func(read func(f *guardFlags, log *slog.Logger) error) func(c *serveCommand) error {
		return func(c *serveCommand) error {
			before := g.files()
			err := read(&c.Guard, r.log)
			if !slices.Equal(before, g.files()) {
				g.watch(ctx, r.log)
			}
			return err
		}
	}
	r.register(reloadable{what: "the API keys", flags: []string{"api-key-file"}, apply: reload(g.readKeys)})
	r.register(reloadable{what: "the certificate", flags: []string{"tls-cert", "tls-key", "tls-client-ca", "tls-min-version"}, apply: reload(g.readCertificates)})
}

// readKeys puts the keys of the flags' file, which is in force then, in place of the old
// ones; without flags it reads the file in force. A file without keys is not wrong here:
// somebody has removed the last one, so nobody may use the server.
func (g *guard) readKeys(f *guardFlags, log *slog.Logger) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f == nil {
		f = &g.flags
	}
	if g.keys == nil && f.APIKeyFile == "" {
		return nil
	}
	if g.keys == nil || f.APIKeyFile == "" {
		return errors.New("a server begins or ceases to ask for keys with a restart only")
	}
	keys, err := access.ReadFile(f.APIKeyFile)
	if err != nil {
		return fmt.Errorf("--api-key-file %s: %w", f.APIKeyFile, err)
	}
	g.keys.Replace(keys)
	g.flags.APIKeyFile = f.APIKeyFile
	if len(keys) == 0 {
		log.Warn("there is no API key any more: nobody may use the server", "file", f.APIKeyFile)
	}
	return nil
}

// readCertificates puts the certificates of the flags, which are in force then, in place
// of the old ones; without flags it reads those in force.
func (g *guard) readCertificates(f *guardFlags, log *slog.Logger) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f == nil {
		f = &g.flags
	}
	if g.certs == nil && f.TLSCert == "" {
		return nil
	}
	if g.certs == nil || f.TLSCert == "" || (f.TLSClientCA == "") != (g.flags.TLSClientCA == "") {
		return errors.New("a server begins or ceases to speak TLS, and to ask for certificates, with a restart only")
	}
	if err := g.certs.load(f); err != nil {
		return err
	}
	g.flags.TLSCert, g.flags.TLSKey, g.flags.TLSClientCA, g.flags.TLSMinVersion = f.TLSCert, f.TLSKey, f.TLSClientCA, f.TLSMinVersion
	if warning := expiry(g.certs.pair().Leaf, time.Now()); warning != "" {
		log.Warn(warning)
	}
	return nil
}

// digests reports whether the file of keys does not have the first key itself.
func (g *guard) digests() bool { return g.keys != nil && !g.keys.Keys()[0].Plain }

// tls is the configuration of the listeners; nil: plain HTTP.
func (g *guard) tls() *tls.Config {
	if g.certs == nil {
		return nil
	}
	return g.certs.config()
}

// cert is the certificate at this moment; nil: plain HTTP.
func (g *guard) cert() *tls.Certificate {
	if g.certs == nil {
		return nil
	}
	return g.certs.pair()
}

// readKeys reads the file of --api-key-file. Without the flag there are none; a file
// without keys is an error at the start, since nobody could use the server.
func readKeys(path string) ([]access.Key, error) {
	if path == "" {
		return nil, nil
	}
	keys, err := access.ReadFile(path)
	if err == nil && len(keys) == 0 {
		err = errors.New("no key in it: `penstock key add NAME` makes one")
	}
	if err != nil {
		return nil, fmt.Errorf("--api-key-file %s: %w", path, err)
	}
	return keys, nil
}

// minVersion is the value of --tls-min-version.
func (f *guardFlags) minVersion() uint16 {
	if strings.HasSuffix(f.TLSMinVersion, "3") {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}
