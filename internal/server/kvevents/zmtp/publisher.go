package zmtp

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxPeers     = 256      // connections of a socket
	backlog      = 4096     // messages that wait for a subscriber; more are lost to him
	backlogBytes = 32 << 20 // the same of their bytes
)

// listener is what both kinds of sockets do: accept, and end with all connections.
type listener struct {
	mu     sync.Mutex
	l      net.Listener
	conns  map[net.Conn]struct{}
	closed bool
	wait   sync.WaitGroup
}

// acceptPause is how long a socket waits after a connection could not be accepted.
const acceptPause = 50 * time.Millisecond

// serve accepts connections until close. An error such as too many open files passes,
// and does not end it.
func (s *listener) serve(l net.Listener, each func(net.Conn)) {
	s.mu.Lock()
	s.l, s.conns = l, map[net.Conn]struct{}{}
	s.mu.Unlock()
	s.wait.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(acceptPause)
				continue
			}
			if !s.enter(c) {
				c.Close()
				continue
			}
			s.wait.Go(func() {
				defer s.leave(c)
				each(c)
			})
		}
	})
}

func (s *listener) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxPeers {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *listener) leave(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Close()
}

// Close ends the socket and all its connections, and waits for them.
func (s *listener) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.New("the socket is closed already")
	}
	s.closed = true
	err := s.l.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
	return err
}

// Publisher is a PUB socket: it sends each message to those who have subscribed to a
// beginning of its first frame.
type Publisher struct {
	listener
	dropped atomic.Uint64

	subscribers sync.Map // *subscriber -> struct{}
}

// subscriber is a connection, and what it has subscribed to.
type subscriber struct {
	queue   chan []byte
	waiting atomic.Int64 // bytes of the queue, and of the message that is being written

	mu     sync.Mutex
	topics [][]byte // each as often as it was subscribed to
}

// Publish makes a socket that listens.
func Publish(l net.Listener) *Publisher {
	p := &Publisher{}
	p.serve(l, p.run)
	return p
}

// Dropped counts the messages that were lost to a subscriber because he read too
// slowly.
func (p *Publisher) Dropped() uint64 { return p.dropped.Load() }

// Send sends a message, as Message makes it, to those whom its topic concerns. It
// never waits.
func (p *Publisher) Send(topic, message []byte) {
	p.subscribers.Range(func(key, _ any) bool {
		s := key.(*subscriber)
		if !s.wants(topic) {
			return true
		}
		if !s.take(message) {
			p.dropped.Add(1)
		}
		return true
	})
}

// take puts a message into the queue, if there is room for it.
func (s *subscriber) take(message []byte) bool {
	n := int64(len(message))
	if s.waiting.Add(n) <= backlogBytes {
		select {
		case s.queue <- message:
			return true
		default:
		}
	}
	s.waiting.Add(-n)
	return false
}

func (p *Publisher) run(c net.Conn) {
	peer, err := greet(c, "PUB")
	if err != nil {
		return
	}
	s := &subscriber{queue: make(chan []byte, backlog)}
	p.subscribers.Store(s, struct{}{})
	defer p.subscribers.Delete(s)
	gone := make(chan struct{})
	p.wait.Go(func() {
		defer close(gone)
		s.listen(peer)
	})
	for {
		select {
		case m := <-s.queue:
			if peer.write(m) != nil {
				c.Close()
				<-gone
				return
			}
			s.waiting.Add(-int64(len(m)))
		case <-gone:
			return
		}
	}
}

// listen takes subscriptions until the connection ends.
func (s *subscriber) listen(p *peer) {
	for {
		frames, isCommand, err := p.receive()
		if err != nil {
			return
		}
		body := frames[0]
		switch {
		case isCommand: // as ZMTP 3.1 has it
			if topic, ok := bytes.CutPrefix(body, []byte("\x09SUBSCRIBE")); ok {
				s.subscribe(topic)
			} else if topic, ok := bytes.CutPrefix(body, []byte("\x06CANCEL")); ok {
				s.cancel(topic)
			}
		case len(body) > 0 && body[0] == 1:
			s.subscribe(body[1:])
		case len(body) > 0 && body[0] == 0:
			s.cancel(body[1:])
		}
	}
}

const maxTopics = 1024

func (s *subscriber) subscribe(topic []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.topics) < maxTopics {
		s.topics = append(s.topics, topic)
	}
}

func (s *subscriber) cancel(topic []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range s.topics {
		if bytes.Equal(t, topic) {
			s.topics = append(s.topics[:i], s.topics[i+1:]...)
			return
		}
	}
}

func (s *subscriber) wants(topic []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.topics {
		if bytes.HasPrefix(topic, t) {
			return true
		}
	}
	return false
}
