// Package kvevents tells routers which prompts' beginnings a server has cached, so
// that they can send a prompt where its beginning is: vLLM's events of the KV cache,
// published over ZeroMQ, with the last ones to be had again on request.
//
// It has no part in a step. Some times a second it compares what the cache of each
// model finds with what it has told before, which an engine shows between two steps
// to whoever asks. What came and went in between is never told, and no event is ever
// lost on the way: what a slow subscriber misses, the numbers of the batches tell him.
//
// Package server starts it; package zmtp below it speaks ZeroMQ's protocol.
//
// Reading order: publisher.go, mirror.go, encode.go.
package kvevents

import (
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/kvevents/zmtp"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Config says where and how events are published.
type Config struct {
	Events net.Listener // of the PUB socket
	Replay net.Listener // of the ROUTER socket, where batches can be had again; nil: nowhere
	Name   string       // of this server: a topic is kv@NAME@MODEL
	Arrays bool         // events are arrays, as vLLM had them before 0.29, instead of maps

	Models func() []*serving.Deployment // that are loaded
}

const (
	period   = 50 * time.Millisecond
	patience = time.Second // for the end of a step; the next round tries again
	kept     = 10_000      // batches for a replay, of each model
	keptSize = 32 << 20    // bytes of them
	inBatch  = 256         // events of a batch
)

// Publisher is a running publisher.
type Publisher struct {
	cfg    Config
	pub    *zmtp.Publisher
	replay *zmtp.Router // nil: none
	stop   context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	feeds []*feed // of the loaded models, the first loaded first
}

// feed is one model's stream of batches.
type feed struct {
	engine   *engine.Engine
	topic    []byte
	encoder  encoder
	mirror   mirror
	turnover uint64 // of the engine, when the mirror was made

	next  uint64 // number of the next batch
	size  int    // bytes of the batches
	batch [][]byte
}

// Start starts a publisher, which ends with Close.
func Start(cfg Config) *Publisher {
	ctx, stop := context.WithCancel(context.Background())
	p := &Publisher{cfg: cfg, pub: zmtp.Publish(cfg.Events), stop: stop, ended: make(chan struct{})}
	if cfg.Replay != nil {
		p.replay = zmtp.Route(cfg.Replay, p.answer)
	}
	go p.run(ctx)
	return p
}

// Dropped counts the batches that subscribers were too slow for.
func (p *Publisher) Dropped() uint64 { return p.pub.Dropped() }

// Close ends it, with all connections.
func (p *Publisher) Close() {
	p.stop()
	<-p.ended
	p.pub.Close()
	if p.replay != nil {
		p.replay.Close()
	}
}

func (p *Publisher) run(ctx context.Context) {
	defer close(p.ended)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// round tells what has changed since the last one.
func (p *Publisher) round(ctx context.Context) {
	p.follow()
	for _, f := range p.feeds { // only this goroutine changes the list
		turnover := f.engine.Turnover()
		if turnover == f.turnover {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		err := f.engine.Contents(ctx, &f.mirror.copy)
		cancel()
		if err != nil {
			continue // a long step, or the model is being unloaded
		}
		f.turnover = turnover
		p.send(f, f.mirror.events())
	}
}

// follow takes up models that were loaded, and takes leave of those that are gone.
// Both begin with an empty cache, whatever a server of the same name had.
func (p *Publisher) follow() {
	loaded := p.cfg.Models()
	var feeds []*feed
	for _, f := range p.feeds {
		if i := slices.IndexFunc(loaded, func(d *serving.Deployment) bool { return d.Engine == f.engine }); i >= 0 {
			feeds = append(feeds, f)
			loaded = append(loaded[:i:i], loaded[i+1:]...)
		} else {
			p.send(f, []event{{kind: cleared}})
		}
	}
	if len(loaded) == 0 && len(feeds) == len(p.feeds) {
		return
	}
	for _, d := range loaded {
		f := &feed{
			engine: d.Engine, topic: []byte("kv@" + p.cfg.Name + "@" + d.ID),
			encoder: encoder{blockTokens: d.Engine.Config().BlockTokens, arrays: p.cfg.Arrays},
		}
		feeds = append(feeds, f)
		p.send(f, []event{{kind: cleared}})
	}
	p.mu.Lock()
	p.feeds = feeds
	p.mu.Unlock()
}

// send publishes events, and keeps them for replays.
func (p *Publisher) send(f *feed, events []event) {
	for len(events) > 0 {
		n := min(len(events), inBatch)
		body := f.encoder.batch(seconds(time.Now()), events[:n])
		events = events[n:]
		p.mu.Lock()
		number := binary.BigEndian.AppendUint64(nil, f.next)
		f.next++
		f.batch = append(f.batch, body)
		for f.size += len(body); len(f.batch) > kept || f.size > keptSize && len(f.batch) > 1; f.batch = f.batch[1:] {
			f.size -= len(f.batch[0])
			f.batch[0] = nil // the array behind the slice would hold its bytes until it is made anew
		}
		p.mu.Unlock()
		p.pub.Send(f.topic, zmtp.Message(f.topic, number, body))
	}
}

// answer sends the batches again whose number is that of the request or a later one,
// and then an empty one with the number -1. They are those of the model that was
// loaded first, unless the request names another topic after the number.
func (p *Publisher) answer(request [][]byte, send func(frames ...[]byte) error) error {
	if len(request) == 0 || len(request[0]) != 8 {
		return nil
	}
	var first uint64
	var batches [][]byte
	p.mu.Lock()
	for _, f := range p.feeds {
		if len(request) == 1 || string(request[1]) == string(f.topic) {
			first, batches = f.next-uint64(len(f.batch)), append(batches, f.batch...)
			break
		}
	}
	p.mu.Unlock()
	from := binary.BigEndian.Uint64(request[0])
	for i, body := range batches {
		if number := first + uint64(i); number >= from {
			if err := send(binary.BigEndian.AppendUint64(nil, number), body); err != nil {
				return err
			}
		}
	}
	return send(binary.BigEndian.AppendUint64(nil, ^uint64(0)), nil)
}

// seconds is a time as Python's clock tells it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
