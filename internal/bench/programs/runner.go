package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// Runner is a process of bench/openvino_run.py or bench/vllm_run.py with a model loaded. It measures each time it is asked, so that its
// runs can alternate with those of other programs.
type Runner struct {
	Name   string // openvino or vllm
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer

	interrupted func() error // why the program was killed, if whoever started it wanted that
}

// Script is a script that a Runner runs.
type Script struct {
	Name   string // of the program that it drives
	Python string // the interpreter of the virtual environment that bench/peers.sh makes for it
	Path   string
}

// StartRunner loads a model.
func StartRunner(ctx context.Context, s Script, model string, threads int) (*Runner, error) {
	r := &Runner{Name: s.Name, cmd: exec.CommandContext(ctx, s.Python, s.Path, model, "--threads", strconv.Itoa(threads)), interrupted: ctx.Err}
	r.cmd.Stderr = &r.stderr
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	r.out = bufio.NewScanner(out)
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	var first struct {
		Ready bool `json:"ready"`
	}
	if err := r.read(&first); err != nil {
		r.Stop()
		return nil, err
	}
	if !first.Ready {
		r.Stop()
		return nil, fmt.Errorf("%s: did not report that it is ready", r.Name)
	}
	return r, nil
}

// Job is one measurement, as the scripts describe it.
type Job struct {
	Work  string `json:"work"` // batch or prefill
	N     int    `json:"n,omitempty"`
	Words int    `json:"words"`
	Gen   int    `json:"gen,omitempty"`
}

// Measured is the answer to a Job.
type Measured struct {
	Tokens  int     `json:"tokens"`
	Prompt  int     `json:"prompt_tokens"`
	Seconds float64 `json:"seconds"`
}

// Measure runs a job.
func (r *Runner) Measure(j Job) (Measured, error) {
	var m Measured
	line, err := json.Marshal(j)
	if err != nil {
		return m, fmt.Errorf("%s: %w", r.Name, err)
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		return m, fmt.Errorf("%s: %w", r.Name, err)
	}
	if err := r.read(&m); err != nil {
		return m, err
	}
	if m.Tokens <= 0 || m.Seconds <= 0 {
		return m, fmt.Errorf("%s: %d tokens in %g s", r.Name, m.Tokens, m.Seconds)
	}
	return m, nil
}

// read decodes the next line of JSON. Other lines, which the library prints, are skipped.
func (r *Runner) read(into any) error {
	for r.out.Scan() {
		line := bytes.TrimSpace(r.out.Bytes())
		if len(line) == 0 || line[0] != '{' {
			continue
		}
		var failure struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(line, &failure) == nil && failure.Error != "" {
			return fmt.Errorf("%s: %s", r.Name, failure.Error)
		}
		if err := json.Unmarshal(line, into); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		return nil
	}
	if err := r.out.Err(); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	r.in.Close()
	_ = r.cmd.Wait() // stderr is complete then, and says more than the exit status
	if err := r.interrupted(); err != nil {
		return err
	}
	return fmt.Errorf("%s ended: %s", r.Name, LastLine(r.stderr.Bytes()))
}

// Stop ends the program.
func (r *Runner) Stop() {
	r.in.Close()
	_ = r.cmd.Process.Kill() // it has nothing to save
	_ = r.cmd.Wait()         // the status of a killed process says nothing
}
