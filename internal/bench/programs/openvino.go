package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

// OpenVINO is a process of bench/openvino_run.py with a model loaded. It measures each time it is asked, so that its runs can alternate
// with those of other programs.
type OpenVINO struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
}

// StartOpenVINO loads a model; python is the interpreter of the virtual environment that bench/peers.sh makes.
func StartOpenVINO(ctx context.Context, python, script, model string, threads int) (*OpenVINO, error) {
	o := &OpenVINO{cmd: exec.CommandContext(ctx, python, script, model, "--threads", strconv.Itoa(threads))}
	o.cmd.Stderr = &o.stderr
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("bench: openvino: %w", err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: openvino: %w", err)
	}
	o.out = bufio.NewScanner(out)
	if err := o.cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: openvino: %w", err)
	}
	var first struct {
		Ready bool `json:"ready"`
	}
	if err := o.read(&first); err != nil {
		o.Stop()
		return nil, err
	}
	if !first.Ready {
		o.Stop()
		return nil, errors.New("bench: openvino: did not report that it is ready")
	}
	return o, nil
}

// Job is one measurement, see bench/openvino_run.py.
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
func (o *OpenVINO) Measure(j Job) (Measured, error) {
	var m Measured
	line, err := json.Marshal(j)
	if err != nil {
		return m, fmt.Errorf("bench: openvino: %w", err)
	}
	if _, err := o.in.Write(append(line, '\n')); err != nil {
		return m, fmt.Errorf("bench: openvino: %w", err)
	}
	if err := o.read(&m); err != nil {
		return m, err
	}
	if m.Tokens <= 0 || m.Seconds <= 0 {
		return m, fmt.Errorf("bench: openvino: %d tokens in %g s", m.Tokens, m.Seconds)
	}
	return m, nil
}

// read decodes the next line of JSON. Other lines, which the library prints, are skipped.
func (o *OpenVINO) read(into any) error {
	for o.out.Scan() {
		line := bytes.TrimSpace(o.out.Bytes())
		if len(line) == 0 || line[0] != '{' {
			continue
		}
		var failure struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(line, &failure) == nil && failure.Error != "" {
			return fmt.Errorf("bench: openvino: %s", failure.Error)
		}
		if err := json.Unmarshal(line, into); err != nil {
			return fmt.Errorf("bench: openvino: %w", err)
		}
		return nil
	}
	if err := o.out.Err(); err != nil {
		return fmt.Errorf("bench: openvino: %w", err)
	}
	o.in.Close()
	_ = o.cmd.Wait() // stderr is complete then, and says more than the exit status
	return fmt.Errorf("bench: openvino ended: %s", LastLine(o.stderr.Bytes()))
}

// Stop ends the program.
func (o *OpenVINO) Stop() {
	o.in.Close()
	_ = o.cmd.Process.Kill() // it has nothing to save
	_ = o.cmd.Wait()         // the status of a killed process says nothing
}
