package zmtp

import "net"

// Router is a ROUTER socket: it answers each request with any number of messages.
type Router struct {
	listener
	answer func(request [][]byte, send func(frames ...[]byte) error) error
}

// Route makes a socket that listens. answer is called for each request of a REQ or
// DEALER socket, without the empty frame before it, which send puts before each
// message of the answer. An error of send ends the connection.
func Route(l net.Listener, answer func(request [][]byte, send func(frames ...[]byte) error) error) *Router {
	r := &Router{answer: answer}
	r.serve(l, r.run)
	return r
}

func (r *Router) run(c net.Conn) {
	peer, err := greet(c, "ROUTER")
	if err != nil {
		return
	}
	for {
		frames, isCommand, err := peer.receive()
		if err != nil {
			return
		}
		if isCommand || len(frames[0]) != 0 {
			continue // requests begin with an empty frame
		}
		err = r.answer(frames[1:], func(frames ...[]byte) error {
			return peer.write(Message(append([][]byte{{}}, frames...)...))
		})
		if err != nil {
			return
		}
	}
}
