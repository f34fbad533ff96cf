package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/chat/jinja"
	"github.com/penstock-llm/penstock/internal/gguf"
)

type templateCommand struct {
	Model        string `arg:"" help:"${model_help} Or a file that ends in .jinja."`
	BOS          string `name:"bos" help:"Text of the beginning-of-sequence token, for a .jinja file."`
	EOS          string `name:"eos" help:"Text of the end-of-sequence token, for a .jinja file."`
	NoGeneration bool   `help:"Do not end with the beginning of the assistant's turn."`
}

func (c *templateCommand) Run(ctx context.Context, cli *commands, term terminal) error {
	template, err := c.load(ctx, cli, term)
	if err != nil {
		return err
	}
	input, err := io.ReadAll(term.in)
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	messages, options, err := parseConversation(input)
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	if c.NoGeneration {
		options.GenerationPrompt = false
	}
	prompt, err := template.Render(messages, options)
	if err != nil {
		return err
	}
	_, err = io.WriteString(term.out, prompt)
	return err
}

// parseConversation reads an array of messages, or an object as the OpenAI API
// has it: messages, tools, add_generation_prompt, chat_template_kwargs. Other
// fields become variables of the template.
func parseConversation(input []byte) ([]chat.Message, chat.Options, error) {
	options := chat.Options{GenerationPrompt: true}
	if !strings.HasPrefix(strings.TrimSpace(string(input)), "{") {
		messages, err := chat.ParseMessages(input)
		return messages, options, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(input, &fields); err != nil {
		return nil, options, err
	}
	extra := &jinja.Dict{}
	for name, raw := range fields {
		value, err := jinja.FromJSON(raw)
		if err != nil {
			return nil, options, fmt.Errorf("%s: %w", name, err)
		}
		switch name {
		case "messages":
		case "tools":
			options.Tools = value
		case "add_generation_prompt":
			on, ok := value.(bool)
			if !ok {
				return nil, options, fmt.Errorf("add_generation_prompt: want true or false")
			}
			options.GenerationPrompt = on
		default:
			extra.Set(name, value)
		}
	}
	options.Extra = extra
	messages, err := chat.ParseMessages(fields["messages"])
	return messages, options, err
}

func (c *templateCommand) load(ctx context.Context, cli *commands, term terminal) (*chat.Template, error) {
	if strings.HasSuffix(c.Model, ".jinja") {
		source, err := os.ReadFile(c.Model)
		if err != nil {
			return nil, err
		}
		return chat.New(string(source), c.BOS, c.EOS)
	}
	path, err := cli.fetch(ctx, term, c.Model)
	if err != nil {
		return nil, err
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return chat.Load(file)
}
