package main

import (
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// activated returns the listeners that systemd has opened for this process, which a
// .socket unit beside the service tells it to. Without one there are none.
func activated() ([]net.Listener, error) {
	var listeners []net.Listener
	for _, f := range activation.Files(true) {
		l, err := net.FileListener(f)
		f.Close() // l has its own descriptor
		if err == nil {
			listeners = append(listeners, l)
			if _, ok := l.(*net.TCPListener); ok {
				continue
			}
			err = fmt.Errorf("it listens on %s %s", l.Addr().Network(), l.Addr())
		}
		closeAll(listeners)
		return nil, fmt.Errorf("the socket %s of systemd: %w (want TCP: ListenStream=ADDRESS:PORT, without Accept=yes)", f.Name(), err)
	}
	return listeners, nil
}
