// Package zmtp is the part of ZeroMQ's wire protocol that telling others needs: a
// socket that publishes (PUB) and one that answers requests (ROUTER), as ZMTP 3.0 has
// them, over connections without a password (mechanism NULL).
//
// It listens and never connects, and it has no other kinds of sockets. Whoever reads
// too slowly loses messages, and nobody waits for him. Package kvevents uses it.
package zmtp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The flags of a frame.
const (
	more    = 1 // another frame of the same message follows
	long    = 2 // the size has eight bytes
	command = 4
)

const (
	handshakeTime = 10 * time.Second
	writeTime     = 30 * time.Second // for a peer to take what is written
	maxFrame      = 4 << 10          // of a peer, which only subscribes or asks
	maxFrames     = 8                // of a peer's message
)

// peer is a connection after the handshake.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// greet shakes hands as a socket of the given type.
func greet(c net.Conn, socket string) (*peer, error) {
	if err := c.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return nil, err
	}
	var own [64]byte
	own[0], own[9], own[10] = 0xff, 0x7f, 3
	copy(own[12:], "NULL")
	ready := append([]byte("\x05READY"), byte(len("Socket-Type")))
	ready = append(ready, "Socket-Type"...)
	ready = binary.BigEndian.AppendUint32(ready, uint32(len(socket)))
	ready = append(ready, socket...)
	if _, err := c.Write(appendFrame(own[:], command, ready)); err != nil {
		return nil, err
	}
	p := &peer{Conn: c, r: bufio.NewReader(c)}
	var theirs [64]byte
	if _, err := io.ReadFull(p.r, theirs[:]); err != nil {
		return nil, err
	}
	if theirs[0] != 0xff || theirs[9]&1 == 0 || theirs[10] < 3 {
		return nil, errors.New("the peer does not speak ZMTP 3")
	}
	if mechanism, _, _ := bytes.Cut(theirs[12:32], []byte{0}); string(mechanism) != "NULL" {
		return nil, fmt.Errorf("the peer wants the mechanism %q", mechanism)
	}
	flags, body, err := p.frame()
	if err != nil {
		return nil, err
	}
	if flags&command == 0 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		return nil, errors.New("the peer is not ready")
	}
	return p, c.SetDeadline(time.Time{})
}

// frame reads one frame.
func (p *peer) frame() (flags byte, body []byte, err error) {
	if flags, err = p.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size := uint64(0)
	if flags&long != 0 {
		var n [8]byte
		if _, err := io.ReadFull(p.r, n[:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(n[:])
	} else {
		n, err := p.r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		size = uint64(n)
	}
	if size > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	body = make([]byte, size)
	_, err = io.ReadFull(p.r, body)
	return flags, body, err
}

// receive reads until there is a message, or a command other than a ping, which it
// answers.
func (p *peer) receive() (frames [][]byte, isCommand bool, err error) {
	for {
		flags, body, err := p.frame()
		if err != nil {
			return nil, false, err
		}
		if flags&command != 0 {
			if rest, ok := bytes.CutPrefix(body, []byte("\x04PING")); ok {
				if len(rest) < 2 {
					return nil, false, errors.New("a ping without a time")
				}
				if err := p.write(appendFrame(nil, command, append([]byte("\x04PONG"), rest[2:]...))); err != nil {
					return nil, false, err
				}
				continue
			}
			return [][]byte{body}, true, nil
		}
		if frames = append(frames, body); len(frames) > maxFrames {
			return nil, false, fmt.Errorf("a message of more than %d frames", maxFrames)
		}
		if flags&more == 0 {
			return frames, false, nil
		}
	}
}

// write writes whole frames. One call at a time writes, but for pongs, which net.Conn
// keeps whole.
func (p *peer) write(b []byte) error {
	if err := p.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := p.Write(b)
	return err
}

// appendFrame appends a frame.
func appendFrame(b []byte, flags byte, body []byte) []byte {
	if len(body) > 255 {
		b = append(b, flags|long)
		b = binary.BigEndian.AppendUint64(b, uint64(len(body)))
	} else {
		b = append(b, flags, byte(len(body)))
	}
	return append(b, body...)
}

// Message is frames as they go over the wire.
func Message(frames ...[]byte) []byte {
	size := 0
	for _, f := range frames {
		size += 9 + len(f)
	}
	b := make([]byte, 0, size)
	for i, f := range frames {
		flags := byte(more)
		if i == len(frames)-1 {
			flags = 0
		}
		b = appendFrame(b, flags, f)
	}
	return b
}
