// Package programs starts, watches and stops the programs that a benchmark compares: inference servers, llama.cpp's benchmark
// tools, OpenVINO's runner. It reads what they print and knows how each is told its model, threads and port; it sends no load
// and does no statistics. Packages peers and layers call it.
package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spec is a server that can be started.
type Spec struct {
	Name   string
	Args   []string // program and arguments
	URL    string   // base
	Health string   // path that answers 200 when the server is ready
	Ready  time.Duration
}

// Setup has the settings that every started server gets.
type Setup struct {
	Model   string // GGUF file
	Threads int
	Slots   int // requests at once
	Context int // tokens of a request; 0: the server's default
}

// Llama is llama.cpp's server.
func Llama(bin string, s Setup) (Spec, error) {
	port, err := freePort()
	if err != nil {
		return Spec{}, err
	}
	args := []string{bin, "-m", s.Model, "-np", strconv.Itoa(s.Slots), "-t", strconv.Itoa(s.Threads), "--host", "127.0.0.1", "--port", strconv.Itoa(port)}
	if s.Context > 0 {
		args = append(args, "-c", strconv.Itoa(s.Context*s.Slots)) // llama-server's -c is the context of all slots together
	}
	return Spec{Name: "llama-server", Args: args, URL: base(port), Health: "/health"}, nil
}

// Penstock is this project's server.
func Penstock(bin string, s Setup) (Spec, error) {
	port, err := freePort()
	if err != nil {
		return Spec{}, err
	}
	args := []string{bin, "serve", s.Model, "--addr", "127.0.0.1:" + strconv.Itoa(port), "--threads", strconv.Itoa(s.Threads),
		"--max-batch", strconv.Itoa(s.Slots), "--log-level", "warn"}
	if s.Context > 0 {
		args = append(args, "--ctx", strconv.Itoa(s.Context))
	}
	return Spec{Name: "penstock", Args: args, URL: base(port), Health: "/health"}, nil
}

// Custom is any server: a command line in which {model}, {port}, {threads}, {slots} and {ctx} are replaced. It must answer
// /v1/models once it is ready.
func Custom(name, command string, s Setup) (Spec, error) {
	if !strings.Contains(command, "{port}") {
		return Spec{}, fmt.Errorf("%s: the command has no {port}", name)
	}
	port, err := freePort()
	if err != nil {
		return Spec{}, err
	}
	fill := strings.NewReplacer("{model}", s.Model, "{port}", strconv.Itoa(port), "{threads}", strconv.Itoa(s.Threads),
		"{slots}", strconv.Itoa(s.Slots), "{ctx}", strconv.Itoa(s.Context))
	args := strings.Fields(command)
	for i := range args {
		args[i] = fill.Replace(args[i])
	}
	return Spec{Name: name, Args: args, URL: base(port), Health: "/v1/models"}, nil
}

func base(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Server is a running server.
type Server struct {
	Spec
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended
	err  error         // the result of Wait, valid once done is closed
}

// Start starts the server and waits until it is ready. If it ends, or is not ready in time, the error quotes the end of what it printed.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	log, err := os.CreateTemp("", "penstock-bench-*.log")
	if err != nil {
		return nil, err
	}
	s := &Server{Spec: spec, log: log, done: make(chan struct{})}
	s.cmd = exec.Command(spec.Args[0], spec.Args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.removeLog()
		return nil, fmt.Errorf("%s can't be started: %w", spec.Name, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	if err := s.waitHealthy(ctx); err != nil {
		words := s.lastWords()
		s.Stop()
		return nil, fmt.Errorf("%s: %w%s", spec.Name, err, words)
	}
	return s, nil
}

func (s *Server) waitHealthy(ctx context.Context) error {
	limit := s.Ready
	if limit == 0 {
		limit = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return fmt.Errorf("ended before it was ready: %v", s.err)
		case <-ctx.Done():
			return fmt.Errorf("was not ready in time: %w", ctx.Err())
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+s.Health, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // not listening yet
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// Alive reports whether the process still runs.
func (s *Server) Alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// lastWords quotes the end of what the server printed, to be appended to an error.
func (s *Server) lastWords() string {
	data, err := os.ReadFile(s.log.Name())
	data = bytes.TrimSpace(data)
	if err != nil || len(data) == 0 {
		return ""
	}
	const most = 600
	if len(data) > most {
		data = data[len(data)-most:]
	}
	return "; its last output:\n" + string(data)
}

// Stop asks the server to end, and kills it after five seconds.
func (s *Server) Stop() {
	defer s.removeLog()
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.done:
		return
	case <-time.After(5 * time.Second):
	}
	_ = s.cmd.Process.Kill()
	<-s.done
}

func (s *Server) removeLog() {
	s.log.Close()
	os.Remove(s.log.Name())
}

// CPU is the processor time that the server has used. Only Linux tells it, in steps of 10 ms.
func (s *Server) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseStat(data)
}

// parseStat reads utime and stime, the 12th and 13th field after the name, which may hold blanks and parentheses itself.
func parseStat(data []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return 0, errors.New("/proc stat: no process name")
	}
	fields := bytes.Fields(data[i+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc stat: %d fields", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

// UsedCPU is CPU, or 0 where the system does not tell it and for a nil server, one that was not started here.
func (s *Server) UsedCPU() time.Duration {
	if s == nil {
		return 0
	}
	d, err := s.CPU()
	if err != nil {
		return 0 // the report leaves it out
	}
	return d
}
