package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/sample"
)

// parameter is a number that /set changes.
type parameter struct {
	name  string
	value any // *int, or a pointer to a samplingFlags field, which is nil unless it was set
	usual any // the model's value, which counts while the field is nil
}

// parameters lists what /set parameter can change, under the names of the flags.
func (t *talk) parameters() []parameter {
	s := &t.sampling
	var usual sample.Params
	if t.in != nil {
		usual = (&samplingFlags{}).params(authorsOf(t.in.File, t.model)...)
	}
	return []parameter{
		{"max-tokens", &t.maxTokens, nil},
		{"temperature", &s.Temperature, usual.Temperature},
		{"top-k", &s.TopK, usual.TopK},
		{"top-p", &s.TopP, usual.TopP},
		{"min-p", &s.MinP, usual.MinP},
		{"repeat-penalty", &s.RepeatPenalty, usual.RepeatPenalty},
		{"repeat-last-n", &s.RepeatLastN, usual.RepeatLastN},
		{"presence-penalty", &s.PresencePenalty, usual.PresencePenalty},
		{"frequency-penalty", &s.FrequencyPenalty, usual.FrequencyPenalty},
		{"seed", &s.Seed, -1},
	}
}

// set changes a setting.
func (t *talk) set(ctx context.Context, args string) (err error) {
	what, rest, _ := strings.Cut(args, " ")
	rest = strings.TrimSpace(rest)
	switch what {
	case "system":
		t.system = unfenced(rest)
		return nil
	case "parameter":
		return t.setParameter(rest)
	case "format":
		f, err := readFormat(rest)
		if err == nil && f == nil {
			err = errors.New("want /set format json, or /set format FILE with a JSON Schema; /set noformat ends it")
		}
		if err == nil {
			t.format = f
		}
		return err
	case "think":
		return t.setThink(ctx, rest)
	}
	switch what {
	case "noformat", "nothink", "verbose", "quiet", "history", "nohistory":
		if rest != "" {
			return fmt.Errorf("/set %s takes no %q", what, clip(rest))
		}
	}
	switch what {
	case "noformat":
		t.format = nil
	case "nothink":
		t.think = "off"
	case "verbose", "quiet":
		t.verbose = what == "verbose"
	case "history", "nohistory":
		t.history.forgetful = what == "nohistory"
	default:
		if name, _ := t.number(what); name != "" {
			return fmt.Errorf("%s is a parameter: /set parameter %s VALUE", clip(what), clip(what))
		}
		words := []string{"system", "parameter", "format", "noformat", "think", "nothink", "verbose", "quiet", "history", "nohistory"}
		return fmt.Errorf("/set has no %q%s: want one of %s", clip(what), suggest(what, words), strings.Join(words, ", "))
	}
	return nil
}

// setThink has the model think, if it can.
func (t *talk) setThink(ctx context.Context, how string) error {
	how, err := readThink(cmp.Or(how, "on"))
	if err != nil {
		return err
	}
	d, err := t.description(ctx)
	if err != nil {
		return err
	}
	if how != "off" && !slices.Contains(d.Capabilities, "thinking") {
		return fmt.Errorf("%s was not taught to think before it answers", t.model)
	}
	t.think = how
	return nil
}

// number finds a parameter. Names of Ollama's and llama.cpp's are known, too.
func (t *talk) number(name string) (known string, value reflect.Value) {
	name = strings.ReplaceAll(name, "_", "-")
	if other, ok := map[string]string{"num-predict": "max-tokens", "n-predict": "max-tokens", "temp": "temperature"}[name]; ok {
		name = other
	}
	for _, p := range t.parameters() {
		if p.name == name {
			return name, reflect.ValueOf(p.value).Elem()
		}
	}
	return "", reflect.Value{}
}

// setParameter changes a number.
func (t *talk) setParameter(args string) error {
	asked, value, _ := strings.Cut(args, " ")
	name, target := t.number(asked)
	if name != "" {
		number := target
		if target.Kind() == reflect.Pointer {
			number = reflect.New(target.Type().Elem()).Elem()
		}
		value = strings.TrimSpace(value)
		if name == "max-tokens" && value == "-1" {
			value = "0" // as Ollama and llama.cpp have it: until the context is full
		}
		if err := setNumber(name, value, number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if target.Kind() == reflect.Pointer {
			target.Set(number.Addr())
		}
		return nil
	}
	if asked == "ctx" || asked == "num_ctx" {
		return errors.New("the context has its size from the start: leave, and choose another with --ctx")
	}
	var names []string
	for _, p := range t.parameters() {
		names = append(names, p.name)
	}
	return fmt.Errorf("unknown parameter %q%s: want one of %s", clip(asked), suggest(strings.ReplaceAll(asked, "_", "-"), names), strings.Join(names, ", "))
}
