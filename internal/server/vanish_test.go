package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
)

// TestThousandClientsVanish: a thousand clients send a request, or a part of one, and
// cut the connection at some point of the answer. Nothing of them is left: no
// sequence, no block, no goroutine; and whoever asks afterwards is answered.
func TestThousandClientsVanish(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand connections")
	}
	noLeaks(t)
	f := serve(t, mockEngine(), roomy, func(_ *Config, e *engineConfig) { e.MaxQueue = 1000 })
	ts := f.listen(t)
	address := ts.Listener.Addr().String()
	r := rand.New(rand.NewPCG(1, 2))
	var clients sync.WaitGroup
	for i := range 1000 {
		path := []string{"/v1/chat/completions", "/v1/completions", "/completion", "/generate_stream"}[i%4]
		body := fmt.Sprintf(`{"prompt":"abc %d","max_tokens":20000,"ignore_eos":true,"stream":true}`, i)
		if i%4 == 0 {
			body = "{" + hello + `,"max_tokens":20000,"ignore_eos":true,"stream":true}`
		}
		request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
		sent, read := len(request), r.IntN(4000)
		if i%10 == 9 {
			sent, read = r.IntN(len(request)), 0 // it does not even finish its request
		}
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if i%2 == 0 {
				conn.(*net.TCPConn).SetLinger(0) // the connection is reset, not closed
			}
			if _, err := conn.Write([]byte(request[:sent])); err != nil {
				t.Error(err)
				return
			}
			if read > 0 {
				if _, err := conn.Read(make([]byte, read)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	f.settled(t)
	if a := f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":3,"ignore_eos":true}`); a.status != 200 || !strings.Contains(a.body, `"completion_tokens":3`) {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
	waitFor(t, "the handlers", func() bool { return f.answers.running.Load() == 0 })
}
