package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
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
			t.messages, t.attached, t.open, t.file = nil, nil, false, ""
			return nil
		}},
		{"file", "PATH", "put a text file before the next message", (*talk).addFile},
		{"set", "system TEXT", "system message; without a text there is none", (*talk).set},
		{"set", "parameter NAME VALUE", "how answers are made: /show parameters", (*talk).set},
		{"set", "format json|FILE", "answers are JSON, or of FILE's schema (noformat)", (*talk).set},
		{"set", "think [low|medium|high]", "think before an answer (nothink: do not)", (*talk).set},
		{"set", "verbose", "timings after each answer (quiet: none)", (*talk).set},
		{"set", "nohistory", "what you type is not kept (history: it is)", (*talk).set},
		{"show", "[WHAT]", strings.Join(views, ", "), (*talk).view},
		{"stats", "", "what the last answer took; how full the context is", (*talk).stats},
		{"save", "NAME", "save the conversation, as a name or a .json file", (*talk).save},
		{"load", "NAME", "a saved conversation, or another model of a server", (*talk).restore},
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
	fmt.Fprintf(table, "/?\tthis list\n\nCtrl-C\tstop the answer\nCtrl-D\tleave\nCtrl-J\tnew line; within three quotes (\"\"\") Enter is one, too\nUp, Down\twhat was typed before\n")
	return table.Flush()
}

// addFile puts a text file before the next message.
func (t *talk) addFile(_ context.Context, path string) error {
	if path == "" {
		return errors.New("want the path of a text file")
	}
	text, err := textFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t.attached = append(t.attached, attachment{filepath.Base(path), text})
	fmt.Fprintf(t.out, "%s comes before the next message: %s\n", path, bytesText(len(text)))
	return nil
}
