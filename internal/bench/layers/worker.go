package layers

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/programs"
)

// worker is a process that stays: the hidden command, or a Python client. It is told its job on the first line of its standard
// input, answers with a line once it is ready, then with a line to each line, and ends with its standard input. While it is not
// asked it uses no CPU, so that many can be ready at once and be measured by turns.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
}

func startWorker(cmd *exec.Cmd, job, ready any) (*worker, error) {
	w := &worker{cmd: cmd}
	cmd.Stderr = &w.stderr
	var err error
	if w.in, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	w.out = json.NewDecoder(out)
	if err := w.ask(job, ready); err != nil {
		_ = w.stop()
		return nil, fmt.Errorf("did not start: %w", err)
	}
	return w, nil
}

// ask sends a line and decodes the answer to it. A process that has ended instead is quoted.
func (w *worker) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if _, err = w.in.Write(append(line, '\n')); err == nil {
		err = w.out.Decode(answer)
	}
	if err == nil {
		return nil
	}
	ended := w.stop()
	if words := strings.TrimPrefix(programs.LastLine(w.stderr.Bytes()), "penstock: "); words != "" {
		return errors.New(words)
	}
	return fmt.Errorf("bench: %s gave no answer: %w", w.cmd.Path, cmp.Or(ended, err))
}

// stop ends the process. It may be called again.
func (w *worker) stop() error {
	if w.cmd.ProcessState != nil {
		return nil
	}
	w.in.Close()
	return w.cmd.Wait()
}

// question asks a worker for one run.
type question struct {
	Warm bool `json:"warm"` // of a client: only the warm-up
}

// answerLines is the other end: it answers each line until there are no more.
func answerLines(dec *json.Decoder, enc *json.Encoder, do func(question) (any, error)) error {
	for {
		var q question
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: layer: %w", err)
		}
		answer, err := do(q)
		if err != nil {
			return err
		}
		if err := enc.Encode(answer); err != nil {
			return fmt.Errorf("bench: layer: %w", err)
		}
	}
}
