package programs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// LlamaTools are llama.cpp's own benchmarks, which measure the model without a server.
type LlamaTools struct {
	Dir     string // where llama.cpp was built
	Model   string // GGUF file
	Threads int
	Cache   string // numbers of Batched's cache, such as q8_0, with flash attention, which most of them need; empty: llama.cpp's choice of both
}

// BatchedBench is the program that Batched runs.
func (l LlamaTools) BatchedBench() string { return filepath.Join(l.Dir, "llama-batched-bench") }

// Prefill runs llama-bench on a prompt and returns its tokens per second.
func (l LlamaTools) Prefill(ctx context.Context, prompt int) (float64, error) {
	out, err := output(ctx, filepath.Join(l.Dir, "llama-bench"), "-m", l.Model, "-t", strconv.Itoa(l.Threads), "-p", strconv.Itoa(prompt), "-n", "0", "-r", "1", "-o", "json")
	if err != nil {
		return 0, err
	}
	return parseLlamaBench(out)
}

func parseLlamaBench(data []byte) (prefill float64, err error) {
	var runs []struct {
		Prompt   int     `json:"n_prompt"`
		Generate int     `json:"n_gen"`
		Speed    float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(data, &runs); err != nil {
		return 0, fmt.Errorf("llama-bench: %w", err)
	}
	for _, r := range runs {
		if r.Prompt > 0 && r.Generate == 0 && r.Speed > 0 {
			return r.Speed, nil
		}
	}
	return 0, errors.New("llama-bench reported no speed")
}

// Batched is one line of llama-batched-bench: Sequences prompts decoded together.
type Batched struct {
	Prompt    int     `json:"pp"` // tokens of each sequence
	Generate  int     `json:"tg"`
	Sequences int     `json:"pl"`
	Prefill   float64 `json:"t_pp"` // seconds
	Decode    float64 `json:"t_tg"`
}

// TokensPerSecond is the output rate with the prefill's time counted, as a client sees it.
func (b Batched) TokensPerSecond() float64 {
	return float64(b.Generate*b.Sequences) / (b.Prefill + b.Decode)
}

// Batched runs llama-batched-bench: so many sequences take in a prompt and generate tokens together.
func (l LlamaTools) Batched(ctx context.Context, sequences, prompt, generate int) (Batched, error) {
	args := []string{"-m", l.Model, "-t", strconv.Itoa(l.Threads), "-c", strconv.Itoa(max(512, sequences*(prompt+generate))),
		"-npp", strconv.Itoa(prompt), "-ntg", strconv.Itoa(generate), "-npl", strconv.Itoa(sequences), "--output-format", "jsonl"}
	if l.Cache != "" {
		args = append(args, "-fa", "on", "-ctk", l.Cache, "-ctv", l.Cache)
	}
	out, err := output(ctx, l.BatchedBench(), args...)
	if err != nil {
		return Batched{}, err
	}
	return parseBatched(out)
}

// parseBatched finds the line of figures among what the program prints.
func parseBatched(data []byte) (b Batched, err error) {
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] != '{' {
			continue
		}
		if err := json.Unmarshal(line, &b); err != nil {
			return b, fmt.Errorf("llama-batched-bench: %w", err)
		}
		if b.Sequences <= 0 || b.Generate <= 0 || b.Prefill+b.Decode <= 0 {
			return b, fmt.Errorf("llama-batched-bench: no figures in %s", line)
		}
		return b, nil
	}
	return b, errors.New("llama-batched-bench printed no result")
}

// output runs a program to its end and returns what it printed.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err() // which has killed the program
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, LastLine(stderr.Bytes()))
	}
	return out, nil
}

// LastLine is the end of what a program printed, which says more about its failure than its status.
func LastLine(printed []byte) string {
	printed = bytes.TrimSpace(printed)
	return string(printed[bytes.LastIndexByte(printed, '\n')+1:])
}
