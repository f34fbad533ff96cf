package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/penstock-llm/penstock/internal/sample"
)

// errLeave ends the chat.
var errLeave = errors.New("leave")

// chatCommand is something to do in a chat besides sending a message.
type chatCommand struct {
	name, args, help string
	run              func(t *talk, ctx context.Context, args string) error
}

// chatCommands returns the commands in the order in which /? lists them.
func chatCommands() []chatCommand {
	return []chatCommand{
		{"more", "", "go on with an answer that was cut", func(t *talk, ctx context.Context, _ string) error {
			return t.reply(t.more(ctx))
		}},
		{"clear", "", "begin a new conversation", func(t *talk, _ context.Context, _ string) error {
			t.messages, t.last, t.file = nil, nil, ""
			return nil
		}},
		{"set", "system TEXT", "set the system message; without a text there is none", (*talk).set},
		{"set", "parameter NAME VALUE", "set how answers are made: /show parameters has the names", (*talk).set},
		{"show", "[system|parameters|template]", "show the model, the system message, the parameters or the template", (*talk).show},
		{"save", "NAME", "save the conversation, as a name or a .json file", (*talk).save},
		{"load", "NAME", "go on with a saved conversation", (*talk).restore},
		{"bye", "", "leave", func(*talk, context.Context, string) error { return errLeave }},
	}
}

// commandWord matches the first word of a command. A path such as /usr/bin is not
// one, so that a message can begin with it.
var commandWord = regexp.MustCompile(`^/(\?|[A-Za-z]+)$`)

// parseCommand splits a command into its name and arguments. ok is false if the
// line is a message for the model.
func parseCommand(line string) (name, args string, ok bool) {
	line = strings.TrimSpace(line)
	word, args, _ := strings.Cut(line, " ")
	if strings.Contains(word, "\n") || !commandWord.MatchString(word) {
		return "", "", false
	}
	name = word[1:]
	if other, ok := map[string]string{"?": "help", "exit": "bye", "quit": "bye"}[name]; ok {
		name = other
	}
	return name, strings.TrimSpace(args), true
}

func (t *talk) command(ctx context.Context, name, args string) error {
	if name == "help" {
		return t.help()
	}
	var names []string
	for _, c := range chatCommands() {
		if c.name == name {
			if c.args == "" && args != "" {
				return fmt.Errorf("/%s takes no %q", name, clip(args))
			}
			return c.run(t, ctx, args)
		}
		names = append(names, c.name)
	}
	return fmt.Errorf("unknown command /%s%s: /? lists them", clip(name), suggest(name, names))
}

func (t *talk) help() error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, c := range chatCommands() {
		fmt.Fprintf(table, "/%s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	fmt.Fprintf(table, "/?\tthis list\n\nCtrl-C\tstop the answer\nCtrl-D\tleave\nCtrl-J\tbegin a new line\nUp, Down\twhat was typed before\n")
	return table.Flush()
}

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
	if t.remote == nil {
		usual = (&samplingFlags{}).params(t.in.File.Sampling(), recommended(t.model))
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

// set changes the system message or a parameter.
func (t *talk) set(_ context.Context, args string) error {
	what, rest, _ := strings.Cut(args, " ")
	rest = strings.TrimSpace(rest)
	switch what {
	case "system":
		t.system = unfenced(rest)
		return nil
	case "parameter":
	default:
		return errors.New("want /set system TEXT or /set parameter NAME VALUE")
	}
	name, value, _ := strings.Cut(rest, " ")
	name, value = strings.ReplaceAll(name, "_", "-"), strings.TrimSpace(value)
	var names []string
	for _, p := range t.parameters() {
		if p.name != name {
			names = append(names, p.name)
			continue
		}
		target := reflect.ValueOf(p.value).Elem()
		number := target
		if target.Kind() == reflect.Pointer {
			number = reflect.New(target.Type().Elem()).Elem()
		}
		if err := setNumber(name, value, number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if target.Kind() == reflect.Pointer {
			target.Set(number.Addr())
		}
		return nil
	}
	if name == "ctx" || name == "num-ctx" {
		return errors.New("the context has its size from the start: leave, and choose another with --ctx")
	}
	return fmt.Errorf("unknown parameter %q%s: want one of %s", clip(name), suggest(name, names), strings.Join(names, ", "))
}

// show prints the model, the system message, the parameters or the template.
func (t *talk) show(_ context.Context, what string) error {
	switch what {
	case "":
		if t.remote != nil {
			_, err := fmt.Fprintf(t.out, "model %s at %s, context %d tokens, messages %d\n", t.remote.name, t.remote.url, t.remote.context, len(t.messages))
			return err
		}
		c := t.in.Model.Config()
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "model\t%s\nfile\t%s\narchitecture\t%s\nparameters\t%.0f M\nquantization\t%s\ncontext\t%d tokens\nmessages\t%d\n",
			c.Name, t.in.File.Path(), c.Arch, float64(c.Params)/1e6, c.Quantization, t.in.Context(), len(t.messages))
		return table.Flush()
	case "system":
		fmt.Fprintln(t.out, cmp.Or(t.system, "(no system message)"))
	case "template":
		if t.remote != nil {
			return errors.New("the template is the server's: POST /api/show has it")
		}
		fmt.Fprintln(t.out, strings.TrimRight(t.template.Source(), "\n"))
	case "parameters":
		table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
		for _, p := range t.parameters() {
			value := reflect.ValueOf(p.value).Elem()
			switch {
			case value.Kind() != reflect.Pointer:
				fmt.Fprintf(table, "%s\t%v\t\n", p.name, value)
			case value.IsNil() && t.remote != nil:
				fmt.Fprintf(table, "%s\t\t(the server's)\n", p.name)
			case value.IsNil():
				fmt.Fprintf(table, "%s\t%v\t(the model's)\n", p.name, p.usual)
			default:
				fmt.Fprintf(table, "%s\t%v\t\n", p.name, value.Elem())
			}
		}
		return table.Flush()
	default:
		return fmt.Errorf("/show has no %q: want nothing, system, parameters or template", clip(what))
	}
	return nil
}
