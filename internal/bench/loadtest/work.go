package loadtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/load"
)

// Work is the load that a benchmark sends: the options that Load and Compare share. The defaults are the scenario in which
// Penstock is measured: 40 requests of 8 clients, 30 random words in, 50 tokens out.
type Work struct {
	Requests    int           `help:"Requests of a run." default:"40"`
	Concurrency int           `help:"Clients of a closed loop; in an open loop the most requests under way (0: no bound)." default:"8"`
	Gen         int           `help:"Tokens to generate for each request." default:"50"`
	Temperature float64       `help:"Sampling temperature." default:"0.7"`
	IgnoreEOS   bool          `help:"Generate all tokens, whatever the model says, so that runs are comparable." default:"true" negatable:""`
	Words       int           `help:"Random words of a prompt." default:"30"`
	PrefixWords int           `help:"Words that all prompts share, before the random ones."`
	Turns       int           `help:"Turns of a conversation; each carries the earlier answers along." default:"1"`
	Prompt      string        `help:"Send this prompt every time instead of random words."`
	Prompts     string        `help:"JSONL file of prompts: prompt, text, messages or ShareGPT conversations." type:"path"`
	Seed        uint64        `help:"Seed of prompts and arrivals (0: another one each run, so that no cache helps)."`
	Stream      bool          `help:"Ask for streamed answers."`
	Fresh       bool          `help:"A new connection for each request."`
	HTTP2       bool          `help:"HTTP/2: in clear for http URLs, over TLS for https." name:"http2"`
	Insecure    bool          `help:"Accept any TLS certificate."`
	Timeout     time.Duration `help:"Give up on a request after this." default:"10m"`
	Warmup      int           `help:"Requests before the measurement (-1: as many as clients)." default:"-1"`
}

// Check returns an error for a load that can't be sent.
func (w *Work) Check() error {
	switch {
	case w.Gen <= 0:
		return errors.New("--gen must be positive: a run without tokens has no throughput")
	case w.Words < 0 || w.PrefixWords < 0 || w.Turns < 0:
		return errors.New("a number of words or turns is negative")
	case w.Prompt == "" && w.Prompts == "" && w.Words+w.PrefixWords == 0:
		return errors.New("the prompts are empty: set --words, --prompt or --prompts")
	case w.Prompt != "" && w.Prompts != "":
		return errors.New("--prompt and --prompts exclude each other")
	case !(w.Temperature >= 0 && w.Temperature <= 100): // written so that NaN is refused, too
		return fmt.Errorf("a temperature of %g", w.Temperature)
	case w.Concurrency < 0 || w.Requests < 0:
		return errors.New("--requests or --concurrency is negative")
	}
	return nil
}

// PromptSet makes the prompts of one run. Random words of different seeds begin differently.
func (w *Work) PromptSet(seed uint64) (load.Prompts, error) {
	switch {
	case w.Prompts != "":
		return load.ReadFile(w.Prompts)
	case w.Prompt != "":
		return load.Fixed(w.Prompt), nil
	}
	return load.Words{Words: w.Words, Prefix: w.PrefixWords, Turns: w.Turns, Seed: seed}, nil
}

// NextSeed is the seed of the options, or a new one at each call if they have none.
func (w *Work) NextSeed() uint64 {
	if w.Seed != 0 {
		return w.Seed
	}
	return uint64(time.Now().UnixNano())
}

// Target makes a target with the settings of the work.
func (w *Work) Target(url string, dialect load.Dialect) load.Target {
	return load.Target{URL: url, Dialect: dialect, Stream: w.Stream, Fresh: w.Fresh, HTTP2: w.HTTP2, Insecure: w.Insecure,
		MaxTokens: w.Gen, Temperature: w.Temperature, IgnoreEOS: w.IgnoreEOS, Timeout: w.Timeout}
}

// WarmupRequests is the number of requests before a measurement.
func (w *Work) WarmupRequests() int {
	if w.Warmup >= 0 {
		return w.Warmup
	}
	return max(1, w.Concurrency)
}

func readKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("API key: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 1:
			return words[0], nil
		default: // the server's file, where digests have names
			return "", fmt.Errorf("API key: %s has the digests of keys: give a file with the key that `penstock key add` has printed", path)
		}
	}
	return "", fmt.Errorf("API key: %s is empty", path)
}
