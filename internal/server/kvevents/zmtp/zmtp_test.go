package zmtp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.done); return nil }
func (l *pipes) Addr() net.Addr { return nil }

func (l *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	select {
	case l.conns <- there:
	case <-l.done:
		t.Fatal("the socket is closed")
	}
	return here
}

// connect shakes hands. A pipe keeps nothing, so it reads before it writes.
func connect(t *testing.T, l *pipes, socket string) *peer {
	t.Helper()
	c := l.dial(t)
	p := &peer{Conn: c, r: bufio.NewReader(c)}
	theirs := make([]byte, 64)
	if _, err := io.ReadFull(p.r, theirs); err != nil {
		t.Fatal(err)
	}
	if flags, body, err := p.frame(); err != nil || flags != command || !bytes.HasPrefix(body, []byte("\x05READY\x0bSocket-Type\x00\x00\x00")) {
		t.Fatalf("greeted with %d %q, %v", flags, body, err)
	}
	p.must(t, theirs) // they are alike
	p.must(t, appendFrame(nil, command, append([]byte("\x05READY\x0bSocket-Type\x00\x00\x00"), append([]byte{byte(len(socket))}, socket...)...)))
	return p
}

func (p *peer) must(t *testing.T, b []byte) {
	t.Helper()
	if _, err := p.Write(b); err != nil {
		t.Fatal(err)
	}
}

// A subscriber gets the messages whose topic begins as one of its subscriptions, whole
// and in order, whichever version of the protocol it subscribes with.
func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		pub := Publish(l)
		big := bytes.Repeat([]byte("x"), 70_000)
		old, young := connect(t, l, "SUB"), connect(t, l, "SUB")
		old.must(t, Message([]byte("\x01kv@a")))
		young.must(t, appendFrame(nil, command, []byte("\x09SUBSCRIBEkv@b")))
		young.must(t, Message([]byte("\x01gone")))
		young.must(t, Message([]byte("\x00gone")))
		synctest.Wait()
		for _, topic := range []string{"kv@a", "kv@b", "gone", "kv@abc"} {
			pub.Send([]byte(topic), Message([]byte(topic), []byte{0, 1}, big))
		}
		for p, want := range map[*peer][]string{old: {"kv@a", "kv@abc"}, young: {"kv@b"}} {
			for _, topic := range want {
				got := readMessage(t, p)
				if len(got) != 3 || string(got[0]) != topic || !bytes.Equal(got[1], []byte{0, 1}) || !bytes.Equal(got[2], big) {
					t.Errorf("got %d frames, topic %q, want %q", len(got), got[0], topic)
				}
			}
		}
		old.must(t, Message([]byte("\x00kv@a")))
		synctest.Wait()
		pub.Send([]byte("kv@a"), Message([]byte("kv@a")))
		old.must(t, appendFrame(nil, command, []byte("\x04PING\x00\x00hello")))
		if flags, body, err := old.frame(); err != nil || flags != command || string(body) != "\x04PONGhello" {
			t.Errorf("after cancelling: %d %q %v", flags, body, err)
		}
		if err := pub.Close(); err != nil || pub.Dropped() != 0 {
			t.Errorf("closed with %v, %d dropped", err, pub.Dropped())
		}
		if _, err := old.r.ReadByte(); err == nil {
			t.Error("the connection is open after Close")
		}
	})
}

// readMessage reads a message of any size.
func readMessage(t *testing.T, p *peer) (frames [][]byte) {
	t.Helper()
	for {
		flags, err := p.r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		size := make([]byte, 1)
		if flags&long != 0 {
			size = make([]byte, 8)
		}
		if _, err := io.ReadFull(p.r, size); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint64(append(make([]byte, 8-len(size)), size...)))
		if _, err := io.ReadFull(p.r, body); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, body)
		if flags&more == 0 {
			return frames
		}
	}
}

// Who does not read loses messages, which is counted, and is cut off in the end; nobody
// waits for him, and others lose nothing.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		pub := Publish(l)
		slow, good := connect(t, l, "SUB"), connect(t, l, "SUB")
		slow.must(t, Message([]byte("\x01")))
		good.must(t, Message([]byte("\x01")))
		synctest.Wait()
		start := time.Now()
		const n = backlog + 10
		for i := range n {
			pub.Send(nil, Message(nil, binary.BigEndian.AppendUint64(nil, uint64(i))))
			if got := readMessage(t, good); binary.BigEndian.Uint64(got[1]) != uint64(i) {
				t.Fatalf("message %d is %v", i, got)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("publishing waited %v", took)
		}
		// One is being written, backlog wait.
		if got := pub.Dropped(); got != n-backlog-1 {
			t.Errorf("%d dropped, want %d", got, n-backlog-1)
		}
		time.Sleep(writeTime + time.Second)
		synctest.Wait()
		if _, err := slow.Write([]byte{0}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a subscriber that never reads is still connected: %v", err)
		}
		pub.Send(nil, Message(nil, []byte("after")))
		if got := readMessage(t, good); string(got[1]) != "after" {
			t.Errorf("got %q", got)
		}
		pub.Close()
	})
}

// Large messages wait as far as their bytes have room, and again when some were taken.
func TestLargeMessagesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		pub := Publish(l)
		sub := connect(t, l, "SUB")
		sub.must(t, Message([]byte("\x01")))
		synctest.Wait()
		large := Message(nil, bytes.Repeat([]byte("x"), 1<<20))
		room := backlogBytes / len(large)
		send := func(n, dropped int) {
			t.Helper()
			before := pub.Dropped()
			for range n {
				pub.Send(nil, large)
			}
			if got := pub.Dropped() - before; got != uint64(dropped) {
				t.Errorf("%d of %d dropped, want %d", got, n, dropped)
			}
		}
		send(room+5, 5)
		for range 3 {
			readMessage(t, sub)
		}
		synctest.Wait()
		send(5, 2)
		for range room {
			readMessage(t, sub)
		}
		pub.Close()
	})
}

// flaky is a listener that fails a few times, as where too many files are open.
type flaky struct {
	*pipes
	fails int
}

func (l *flaky) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, syscall.EMFILE
	}
	return l.pipes.Accept()
}

// A connection that cannot be accepted does not end the socket.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		pub := Publish(&flaky{l, 3})
		p := connect(t, l, "SUB")
		p.must(t, Message([]byte("\x01")))
		synctest.Wait()
		pub.Send(nil, Message(nil, []byte("x")))
		if got := readMessage(t, p); len(got) != 2 || string(got[1]) != "x" {
			t.Errorf("got %q", got)
		}
		if err := pub.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A request is answered with any number of messages, and the connection stays.
func TestRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		r := Route(l, func(request [][]byte, send func(frames ...[]byte) error) error {
			for range request[0][0] {
				if err := send([]byte("a"), request[1]); err != nil {
					return err
				}
			}
			return send([]byte("end"), nil)
		})
		p := connect(t, l, "DEALER")
		for _, n := range []byte{3, 0, 1} {
			p.must(t, Message(nil, []byte{n}, []byte("x")))
			for range n {
				if got := readMessage(t, p); len(got) != 3 || len(got[0]) != 0 || string(got[1])+string(got[2]) != "ax" {
					t.Fatalf("got %q", got)
				}
			}
			if got := readMessage(t, p); len(got) != 3 || string(got[1]) != "end" || len(got[2]) != 0 {
				t.Fatalf("got %q", got)
			}
		}
		r.Close()
	})
}

// A peer that says something else, or nothing, is cut off.
func TestStrangers(t *testing.T) {
	greeting := func(version byte, mechanism string) []byte {
		b := make([]byte, 64)
		b[0], b[9], b[10] = 0xff, 0x7f, version
		copy(b[12:], mechanism)
		return b
	}
	null := greeting(3, "NULL")
	ready := appendFrame(nil, command, []byte("\x05READY"))
	for name, said := range map[string][]byte{
		"HTTP":             []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + strings.Repeat(" ", 64)),
		"nothing":          nil,
		"an old version":   greeting(1, "NULL"),
		"a password":       greeting(3, "PLAIN"),
		"no READY":         append(bytes.Clone(null), Message([]byte("\x01kv"))...),
		"a huge frame":     append(append(bytes.Clone(null), ready...), 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"endless messages": append(append(bytes.Clone(null), ready...), bytes.Repeat([]byte{1, 0}, 20)...),
		"an empty ping":    append(append(bytes.Clone(null), ready...), appendFrame(nil, command, []byte("\x04PING"))...),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipes()
				pub := Publish(l)
				c := l.dial(t)
				go func() {
					c.Write(said)
				}()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Error(err)
				}
				c.Close()
				pub.Close()
			})
		})
	}
}

// FuzzPeer: whatever a peer sends, it is read to its end or cut off.
func FuzzPeer(f *testing.F) {
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	start := appendFrame(greeting, command, []byte("\x05READY"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(append(bytes.Clone(start), Message([]byte("\x01kv@"), []byte("x"))...))
	f.Add(append(bytes.Clone(start), appendFrame(nil, command, []byte("\x09SUBSCRIBEkv@"))...))
	f.Add(append(bytes.Clone(start), appendFrame(nil, command, []byte("\x04PING\x00\x00x"))...))
	f.Fuzz(func(t *testing.T, said []byte) {
		l := newPipes()
		pub := Publish(l)
		c := l.dial(t)
		go io.Copy(io.Discard, c)
		c.Write(said)
		c.Close()
		if err := pub.Close(); err != nil {
			t.Error(err)
		}
	})
}
