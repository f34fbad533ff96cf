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

// worker is a process that is started once and asked many times: the hidden command of this program, or a Python client. The first line
// of its standard input is its job; it answers with one line when it is ready. From then on each line is a question and gets one line as
// answer. It ends when its standard input is closed. Between questions it uses no CPU, so that many workers can be ready at once and be
// measured in turn.
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
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w.out = json.NewDecoder(out)
	if err := w.ask(job, ready); err != nil {
		_ = w.stop()
		return nil, fmt.Errorf("did not start: %w", err)
	}
	return w, nil
}

// ask sends a line and decodes the answer. When the process has ended instead, the error is the last line that it printed.
func (w *worker) ask(question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
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
	return fmt.Errorf("%s gave no answer: %w", w.cmd.Path, cmp.Or(ended, err))
}

// stop ends the process and waits for it. Further calls do nothing.
func (w *worker) stop() error {
	if w.cmd.ProcessState != nil {
		return nil
	}
	w.in.Close()
	return w.cmd.Wait()
}

// question asks a worker for one run.
type question struct {
	Warm bool `json:"warm"` // for clients: send only the warm-up
}

// answerLines is the worker's side: it answers each question until its input ends.
func answerLines(dec *json.Decoder, enc *json.Encoder, do func(question) (any, error)) error {
	for {
		var q question
		if err := dec.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("layer: %w", err)
		}
		answer, err := do(q)
		if err != nil {
			return err
		}
		if err := enc.Encode(answer); err != nil {
			return fmt.Errorf("layer: %w", err)
		}
	}
}
