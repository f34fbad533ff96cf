package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/server"
)

// inProcess is a server of one model that only this process reaches: what run asks
// of a model in its own process is what it asks of a server elsewhere.
type inProcess struct {
	remote
	http *http.Server
}

// newInProcess starts one for a loaded model, which stays the caller's.
func newInProcess(name string, in *instance.Instance, tier cpu.Tier, parseSpecial bool) (*inProcess, error) {
	template, err := chat.Load(in.File)
	if err != nil {
		return nil, err
	}
	published := publishedWith(in.File.Path())
	d := &server.Deployment{
		ID: name, Path: in.File.Path(), CPU: tier.String(), Tokenizer: in.Tokenizer, Chat: template, ParseSpecial: parseSpecial,
		Sampling: (&samplingFlags{}).settings(authorsOf(in.File, name)...), Stop: published.Stop, System: published.System,
	}
	fillIn(d, in)
	const most = 256 << 20 // readText takes less, and JSON makes some of it longer
	srv := server.New(server.Config{Version: version(), Model: d, MaxBody: most, BodyTimeout: -1, WriteTimeout: -1})
	lines := &lines{incoming: make(chan net.Conn), closed: make(chan struct{})}
	p := &inProcess{
		remote: remote{url: "http://127.0.0.1", own: true, client: &http.Client{Transport: &http.Transport{DialContext: lines.dial}}},
		http:   srv.HTTP("127.0.0.1", nil),
	}
	go p.http.Serve(lines)
	return p, nil
}

// close ends the server. The model's owner closes the model after that.
func (p *inProcess) close() error { return p.http.Close() }

// lines is a listener whose connections begin and end in this process.
type lines struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

var errHungUp = errors.New("the server within this process has ended")

func (l *lines) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, host := net.Pipe()
	select {
	case l.incoming <- here{host}:
		return client, nil
	case <-l.closed:
		return nil, errHungUp
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept, Close and Addr make lines a net.Listener.
func (l *lines) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends it.
func (l *lines) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is that of this machine, as the server wants one.
func (l *lines) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// here is a connection whose other end is on this machine.
type here struct{ net.Conn }

// RemoteAddr is this machine's.
func (here) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
