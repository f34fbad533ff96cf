package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// h1 is an HTTP/1.1 connection whose answers are parsed here. net/http would cost a goroutine switch and several allocations for each
// piece of a stream, and the client often shares its cores with the server that is measured.
type h1 struct {
	*endpoint
	conn net.Conn
	out  []byte // request buffer
	in   []byte // [r:w] is read and not yet consumed
	r, w int
	at   time.Time // when the latest bytes of in arrived
}

const (
	bufferSize = 16 << 10
	maxHead    = 64 << 10
)

var errStale = errors.New("the server closed the kept connection")

func (h *h1) do(ctx context.Context, m message, a *answer) error {
	err := h.once(ctx, m, a)
	if errors.Is(err, errStale) { // no byte of an answer came: send it again on a new connection, and mark it as resent
		a.restart()
		err = h.once(ctx, m, a)
	}
	return err
}

func (h *h1) once(ctx context.Context, m message, a *answer) error {
	reused := h.conn != nil
	if !reused {
		if err := h.connect(ctx); err != nil {
			return err
		}
	}
	conn := h.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	h.out = h.request(h.out, m)
	_, err := h.conn.Write(h.out)
	keep := false
	if err == nil {
		keep, err = h.read(a)
	}
	if err != nil || !keep || h.fresh {
		h.close()
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && reused && a.status == 0 && h.r == h.w {
		return errStale
	}
	return err
}

func (h *h1) connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return err
	}
	if h.tls != nil {
		secure := tls.Client(conn, h.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	h.conn, h.r, h.w = conn, 0, 0
	if h.in == nil {
		h.in = make([]byte, bufferSize)
	}
	return nil
}

func (h *h1) close() {
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

// fill reads more bytes after those that are not consumed yet.
func (h *h1) fill() error {
	if h.r == h.w {
		h.r, h.w = 0, 0
	} else if h.w == len(h.in) {
		if h.r == 0 {
			return errors.New("a line of the answer's framing is too long")
		}
		h.w = copy(h.in, h.in[h.r:h.w])
		h.r = 0
	}
	n, err := h.conn.Read(h.in[h.w:])
	h.at = time.Now()
	h.w += n
	if n > 0 {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line consumes one line of the framing, without its end. It is valid until the next read.
func (h *h1) line() ([]byte, error) {
	from := 0
	for {
		if i := bytes.IndexByte(h.in[h.r+from:h.w], '\n'); i >= 0 {
			line := h.in[h.r : h.r+from+i]
			h.r += from + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		from = h.w - h.r
		if err := h.fill(); err != nil {
			return nil, err
		}
	}
}

// head holds the parts of the status line and the headers that are used.
type head struct {
	status  int
	length  int64 // -1: not given
	chunked bool
	keep    bool
}

// read reads one answer. keep reports whether the connection can be used again.
func (h *h1) read(a *answer) (keep bool, err error) {
	hd, err := h.readHead()
	for err == nil && hd.status/100 == 1 {
		hd, err = h.readHead()
	}
	if err != nil {
		return false, err
	}
	a.status, a.last = hd.status, h.at
	switch {
	case hd.status == 204 || hd.status == 304:
	case hd.chunked:
		err = h.readChunks(a)
	case hd.length >= 0:
		err = h.readLength(a, hd.length)
	default:
		return false, h.readToEnd(a)
	}
	return hd.keep, err
}

func (h *h1) readHead() (head, error) {
	hd := head{length: -1, keep: true}
	line, err := h.line()
	if err != nil {
		return hd, err
	}
	version, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !bytes.HasPrefix(version, []byte("HTTP/1.")) || len(rest) < 3 {
		return hd, fmt.Errorf("the answer does not begin like HTTP/1.1: %.40q", line)
	}
	if hd.status, err = strconv.Atoi(string(rest[:3])); err != nil {
		return hd, fmt.Errorf("the answer's status is no number: %.40q", line)
	}
	hd.keep = !bytes.Equal(version, []byte("HTTP/1.0"))
	for size := 0; ; {
		line, err := h.line()
		if err != nil {
			return hd, err
		}
		if len(line) == 0 {
			return hd, nil
		}
		if size += len(line); size > maxHead {
			return hd, errors.New("the answer's headers are larger than 64 KiB")
		}
		if err := hd.header(line); err != nil {
			return hd, err
		}
	}
}

func (hd *head) header(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("a header without a colon: %.40q", line)
	}
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("content-length")):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("Content-Length %q", value)
		}
		hd.length = n
	case bytes.EqualFold(name, []byte("transfer-encoding")):
		hd.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("connection")):
		if bytes.EqualFold(value, []byte("close")) {
			hd.keep = false
		} else if bytes.EqualFold(value, []byte("keep-alive")) {
			hd.keep = true
		}
	}
	return nil
}

func (h *h1) readLength(a *answer, n int64) error {
	for n > 0 {
		if h.r == h.w {
			if err := h.fill(); err != nil {
				return err
			}
		}
		k := int(min(n, int64(h.w-h.r)))
		if err := a.data(h.in[h.r:h.r+k], h.at); err != nil {
			return err
		}
		h.r += k
		n -= int64(k)
	}
	return nil
}

func (h *h1) readChunks(a *answer) error {
	for {
		line, err := h.line()
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 32)
		if err != nil {
			return fmt.Errorf("a chunk's size is no number: %.40q", line)
		}
		if n == 0 {
			break
		}
		if err := h.readLength(a, int64(n)); err != nil {
			return err
		}
		if line, err = h.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("a chunk is longer than announced: %.40q", line)
		}
	}
	for { // trailers
		line, err := h.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

func (h *h1) readToEnd(a *answer) error {
	for {
		if h.r < h.w {
			if err := a.data(h.in[h.r:h.w], h.at); err != nil {
				return err
			}
			h.r = h.w
		}
		switch err := h.fill(); {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readAll takes a body from a reader.
func (a *answer) readAll(r io.Reader) error {
	buf := make([]byte, bufferSize)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := a.data(buf[:n], time.Now()); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if a.last.IsZero() {
				a.last = time.Now()
			}
			return nil
		case err != nil:
			return err
		}
	}
}
