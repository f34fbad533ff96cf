package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/server/openai"
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
	prompt, err := template.Render(ctx, messages, options)
	if err != nil {
		return err
	}
	_, err = io.WriteString(term.out, prompt.Text)
	return err
}

// parseConversation reads an array of messages, or an object as the OpenAI API
// has it: messages, tools, add_generation_prompt, chat_template_kwargs. Other
// fields become variables of the template.
func parseConversation(input []byte) ([]chat.Message, chat.Options, error) {
	options := chat.Options{GenerationPrompt: true}
	if !strings.HasPrefix(strings.TrimSpace(string(input)), "{") {
		messages, err := openai.ParseMessages(input)
		return messages, options, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(input, &fields); err != nil {
		return nil, options, err
	}
	if err := parseOptions(&options, fields); err != nil {
		return nil, options, err
	}
	messages, err := openai.ParseMessages(fields["messages"])
	return messages, options, err
}

func parseOptions(o *chat.Options, fields map[string]json.RawMessage) (err error) {
	if kwargs, ok := fields["chat_template_kwargs"]; ok {
		if o.Variables, err = chat.ParseVariables(kwargs); err != nil {
			return err
		}
	}
	for name, raw := range fields {
		switch name {
		case "messages", "chat_template_kwargs":
		case "tools":
			o.Tools, err = chat.ParseTools(raw)
		case "add_generation_prompt":
			if json.Unmarshal(raw, &o.GenerationPrompt) != nil || string(raw) == "null" {
				err = chat.Wrong(name, "must be true or false")
			}
		default:
			var value chat.Data
			value, err = chat.ParseData(name, raw)
			o.Variables.Set(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return chat.Load(file)
}
