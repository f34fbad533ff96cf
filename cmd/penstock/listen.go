package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// addressFlags say where the server listens. --host and --port exist because users
// of other servers expect them.
type addressFlags struct {
	Addr   string `help:"Address to listen on, as HOST:PORT." default:"127.0.0.1:8080" env:"PENSTOCK_ADDR"`
	Host   string `help:"Host of the address to listen on: 0.0.0.0 for all networks." env:"PENSTOCK_HOST" placeholder:"HOST"`
	Ollama bool   `help:"Listen on Ollama's port, 11434, too." env:"PENSTOCK_OLLAMA"`
	Port   *int   `help:"Port of the address to listen on; 0: any that is free." env:"PENSTOCK_PORT"`
}

// address is where the server listens.
type address struct {
	host string // a name, an IP address, or empty for all networks
	port int
}

// address puts the flags together. --host and --port replace their part of
// --addr. Where both were set in the same place (command line, environment,
// file) and disagree, it is an error: nobody can tell which was meant.
func (f *addressFlags) address(parsed *kong.Context) (address, error) {
	a, err := parseAddress(f.Addr)
	if err != nil {
		return a, &usageError{err, "penstock serve"}
	}
	whole := origin(parsed, "addr")
	part := func(name, have, want string) (replace bool, err error) {
		if from := origin(parsed, name); from < whole || have == want {
			return false, nil
		} else if from == whole {
			return false, &usageError{fmt.Errorf("--addr %s and --%s %s contradict each other: give one of them", clip(f.Addr), name, clip(want)), "penstock serve"}
		}
		return true, nil
	}
	if f.Host != "" {
		host := strings.TrimSuffix(strings.TrimPrefix(f.Host, "["), "]")
		if !isHost(host) {
			return a, &usageError{fmt.Errorf("--host %s: want a name or an IP address; the port goes to --port", clip(f.Host)), "penstock serve"}
		}
		replace, err := part("host", a.host, host)
		if err != nil {
			return a, err
		}
		if replace {
			a.host = host
		}
	}
	if f.Port != nil {
		replace, err := part("port", strconv.Itoa(a.port), strconv.Itoa(*f.Port))
		if err != nil {
			return a, err
		}
		if replace {
			a.port = *f.Port
		}
	}
	return a, nil
}

func parseAddress(text string) (address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || !isHost(host) {
		return address{}, fmt.Errorf("--addr %s: want HOST:PORT, such as 127.0.0.1:8080, [::1]:8080, or :8080 for all networks", clip(text))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("--addr %s: want a port from 0 to 65535", clip(text))
	}
	return address{host, int(n)}, nil
}

// isHost reports whether text can be a name or an IP address, or is empty.
func isHost(text string) bool {
	return net.ParseIP(text) != nil || !strings.ContainsAny(text, " /:@?#[]\x00") ||
		strings.Contains(text, "%") && strings.Count(text, ":") > 1 // an IPv6 address with its zone
}

func (a address) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// The places that a flag's value can come from; a higher one wins.
const (
	fromDefault = iota
	fromFile
	fromEnvironment
	fromCommandLine
)

// origin says where a flag's value comes from.
func origin(parsed *kong.Context, name string) int {
	from := fromDefault
	for _, flag := range parsed.Flags() {
		if flag.Name != name {
			continue
		}
		if _, set := variable(flag.Value); set {
			from = fromEnvironment
		}
	}
	for _, at := range parsed.Path {
		switch {
		case at.Flag == nil || at.Flag.Name != name:
		case at.Resolved:
			from = max(from, fromFile)
		default:
			from = fromCommandLine
		}
	}
	return from
}

// all opens the listeners of an address, and those of Ollama's port if they are
// wanted.
func (f *addressFlags) all(ctx context.Context, at address) ([]net.Listener, error) {
	listeners, err := at.listen(ctx)
	if err != nil || !f.Ollama || at.port == ollamaPort {
		return listeners, err
	}
	more, err := address{at.host, ollamaPort}.listen(ctx)
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	return append(listeners, more...), nil
}

// listen opens a listener for each IP address of the host. localhost is 127.0.0.1
// and, where the machine has it, ::1. With port 0 all of them get the same port.
func (a address) listen(ctx context.Context) ([]net.Listener, error) {
	hosts := []string{a.host}
	switch {
	case a.host == "localhost":
		hosts = []string{"127.0.0.1"}
		if hasIPv6Loopback() {
			hosts = append(hosts, "::1")
		}
	case a.host != "" && net.ParseIP(a.host) == nil && !strings.Contains(a.host, "%"):
		found, err := net.DefaultResolver.LookupHost(ctx, a.host)
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s: no such host (choose one with --addr or --host)", clip(a.host))
		}
		hosts = found
	}
	const tries = 10 // with port 0: the port that is free on 127.0.0.1 may be taken on ::1
	for try := 1; ; try++ {
		listeners, err := listenAll(ctx, hosts, a.port)
		if err == nil {
			return listeners, nil
		}
		if a.port != 0 || len(hosts) == 1 || try == tries {
			return nil, unable(a, err)
		}
	}
}

func listenAll(ctx context.Context, hosts []string, port int) (listeners []net.Listener, err error) {
	for _, host := range hosts {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, l)
		if at, ok := l.Addr().(*net.TCPAddr); ok {
			port = at.Port
		}
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// ollamaPort is where Ollama's clients look for a server.
const ollamaPort = 11434

func hasIPv6Loopback() bool {
	addresses, err := net.InterfaceAddrs()
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.Equal(net.IPv6loopback) {
			return true
		}
	}
	return err != nil // if the addresses cannot be listed, try ::1 anyway
}

// unable says why an address cannot be listened on, and what to do.
func unable(a address, err error) error {
	hint := "choose another address with --addr"
	var why syscall.Errno
	errors.As(err, &why)
	switch why {
	case syscall.EADDRINUSE:
		hint = "another server? choose another port with --port, or an address with --addr"
	case syscall.EADDRNOTAVAIL:
		hint = "this machine does not have that address: choose one with --addr or --host"
	case syscall.EACCES:
		hint = "ports below 1024 need privileges: choose one with --port"
	}
	if why != 0 {
		return fmt.Errorf("cannot listen on %s: %w (%s)", a, why, hint)
	}
	return fmt.Errorf("cannot listen on %s: %w (%s)", a, err, hint)
}

// exposed reports whether other machines can reach a listener.
func exposed(listeners []net.Listener) bool {
	for _, l := range listeners {
		if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
			return true
		}
	}
	return false
}
