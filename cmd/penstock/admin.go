package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/penstock-llm/penstock/internal/server"
)

// adminAddress reads --admin-addr. What is served there needs no key, so only
// addresses of this machine's own are taken.
func adminAddress(text string) (address, error) {
	a, err := parseAddress(text)
	if err != nil {
		return a, &usageError{errors.New(strings.Replace(err.Error(), "--addr", "--admin-addr", 1)), "penstock serve"}
	}
	if ip := net.ParseIP(a.host); a.host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return a, &usageError{fmt.Errorf("--admin-addr %s: it asks for no key, so it must be a loopback address such as 127.0.0.1:6060; "+
			"/metrics is at --addr too, and ssh -L brings profiles to another machine", clip(text)), "penstock serve"}
	}
	return a, nil
}

// serveAdmin serves profiles and metrics at an address; with "" it does nothing. The
// function that it returns ends that.
func serveAdmin(ctx context.Context, text string, srv *server.Server, term terminal) (end func(), err error) {
	if text == "" {
		return func() {}, nil
	}
	at, err := adminAddress(text)
	if err != nil {
		return nil, err
	}
	listeners, err := at.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("--admin-addr: %w", err)
	}
	admin := srv.Admin()
	for _, l := range listeners {
		fmt.Fprintf(term.err, "penstock: profiles and metrics at http://%s/debug/pprof/\n", l.Addr())
		go func() {
			if err := admin.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
				fmt.Fprintln(term.err, "penstock: the admin address ended:", plain(err))
			}
		}()
	}
	return func() { admin.Close() }, nil
}
