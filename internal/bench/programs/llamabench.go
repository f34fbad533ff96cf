package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// LlamaBench runs llama-bench once: prompt tokens through the model, then, as a measurement of its own, generated tokens. A
// number of 0 leaves that part out. It returns tokens per second.
func LlamaBench(ctx context.Context, bin, model string, threads, prompt, generate int) (prefill, decode float64, err error) {
	out, err := output(ctx, bin, "-m", model, "-t", strconv.Itoa(threads), "-p", strconv.Itoa(prompt), "-n", strconv.Itoa(generate), "-r", "1", "-o", "json")
	if err != nil {
		return 0, 0, err
	}
	return parseLlamaBench(out)
}

func parseLlamaBench(data []byte) (prefill, decode float64, err error) {
	var runs []struct {
		Prompt   int     `json:"n_prompt"`
		Generate int     `json:"n_gen"`
		Speed    float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(data, &runs); err != nil {
		return 0, 0, fmt.Errorf("bench: llama-bench: %w", err)
	}
	for _, r := range runs {
		switch {
		case r.Prompt > 0 && r.Generate == 0:
			prefill = r.Speed
		case r.Prompt == 0 && r.Generate > 0:
			decode = r.Speed
		}
	}
	if prefill == 0 && decode == 0 {
		return 0, 0, errors.New("bench: llama-bench reported no speed")
	}
	return prefill, decode, nil
}

// Batched is one line of llama-batched-bench: Sequences prompts decoded together.
type Batched struct {
	Prompt    int     `json:"pp"`
	Generate  int     `json:"tg"`
	Sequences int     `json:"pl"`
	Prefill   float64 `json:"t_pp"` // seconds
	Decode    float64 `json:"t_tg"`
}

// TokensPerSecond is the output rate with the prefill's time counted, as a client sees it.
func (b Batched) TokensPerSecond() float64 {
	return float64(b.Generate*b.Sequences) / (b.Prefill + b.Decode)
}

// LlamaBatched runs llama-batched-bench once for each number of sequences.
func LlamaBatched(ctx context.Context, bin, model string, threads, prompt, generate int, sequences []int) ([]Batched, error) {
	var list []string
	most := 0
	for _, n := range sequences {
		list = append(list, strconv.Itoa(n))
		most = max(most, n)
	}
	out, err := output(ctx, bin, "-m", model, "-t", strconv.Itoa(threads), "-c", strconv.Itoa(max(512, most*(prompt+generate))),
		"-npp", strconv.Itoa(prompt), "-ntg", strconv.Itoa(generate), "-npl", strings.Join(list, ","), "--output-format", "jsonl")
	if err != nil {
		return nil, err
	}
	return parseBatched(out)
}

func parseBatched(data []byte) ([]Batched, error) {
	var runs []Batched
	s := bufio.NewScanner(bytes.NewReader(data))
	for s.Scan() {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 || line[0] != '{' {
			continue
		}
		var b Batched
		if err := json.Unmarshal(line, &b); err != nil {
			return nil, fmt.Errorf("bench: llama-batched-bench: %w", err)
		}
		if b.Sequences <= 0 || b.Generate <= 0 || b.Prefill+b.Decode <= 0 {
			return nil, fmt.Errorf("bench: llama-batched-bench: no figures in %s", line)
		}
		runs = append(runs, b)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("bench: llama-batched-bench: %w", err)
	}
	if len(runs) == 0 {
		return nil, errors.New("bench: llama-batched-bench printed no result")
	}
	return runs, nil
}

// output runs a program to its end and returns what it printed.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		words := strings.TrimSpace(stderr.String())
		if i := strings.LastIndexByte(words, '\n'); i >= 0 {
			words = words[i+1:]
		}
		return nil, fmt.Errorf("bench: %s: %w: %s", name, err, words)
	}
	return out, nil
}
