package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/penstock-llm/penstock/internal/chat"
)

// savedChat is a conversation in a file. Its messages are those of the OpenAI
// API, so that `penstock template` and other programs read them.
type savedChat struct {
	Model    string         `json:"model"`
	Messages []savedMessage `json:"messages"`
}

type savedMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// conversationName matches names that cannot leave the folder of conversations.
var conversationName = regexp.MustCompile(`^[\pL\pN][\pL\pN._ -]*$`)

// conversationFile is the file for the argument of /save and /load. An argument
// that ends in .json or has a separator is a path; any other is the name of a file
// in the folder of conversations.
func conversationFile(name string) (string, error) {
	if name == "" {
		return "", errors.New("want a name, or a file that ends in .json")
	}
	if strings.HasSuffix(name, ".json") || strings.ContainsRune(name, filepath.Separator) {
		return name, nil
	}
	if !conversationName.MatchString(name) {
		return "", fmt.Errorf("%q is no name: want letters, digits, spaces and .-_", clip(name))
	}
	dir, err := stateFolder()
	if err != nil {
		return "", fmt.Errorf("%w: or give a file that ends in .json", err)
	}
	return filepath.Join(dir, "conversations", name+".json"), nil
}

// save writes the conversation to a file. It refuses to replace the file of another
// conversation.
func (t *talk) save(_ context.Context, name string) error {
	path, err := conversationFile(name)
	if err != nil {
		return err
	}
	if len(t.messages) == 0 {
		return errors.New("nothing has been said yet")
	}
	if _, err := os.Stat(path); err == nil && path != t.file {
		return fmt.Errorf("%s exists: choose another name", path)
	}
	saved := savedChat{Model: t.model}
	for _, m := range t.conversation() {
		saved.Messages = append(saved.Messages, savedMessage{m.Role, content(m)})
	}
	text, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Write a new file, then rename it: a failure in between leaves the old file.
	part := path + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	t.file = path
	fmt.Fprintf(t.out, "saved to %s\n", path)
	return nil
}

// restore reads a saved conversation, which replaces the current one.
func (t *talk) restore(ctx context.Context, name string) error {
	path, err := conversationFile(name)
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil && t.in == nil && name != "" {
		if other, _ := t.at.model(ctx, name); other != nil {
			t.at, t.model = other, name
			fmt.Fprintf(t.out, "the conversation goes on with %s\n", name)
			return nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s%s", path, savedNames(path))
	}
	if err != nil {
		return err
	}
	var saved savedChat
	if err := json.Unmarshal(text, &saved); err != nil || len(saved.Messages) == 0 {
		return fmt.Errorf("%s is no saved conversation", path)
	}
	system := ""
	var messages []chat.Message
	for i, m := range saved.Messages {
		switch {
		case i == 0 && m.Role == "system":
			system = m.Content
		case m.Role == "user", m.Role == "assistant":
			messages = append(messages, chat.NewMessage(m.Role, m.Content))
		default:
			return fmt.Errorf("%s: messages[%d].role is %q: want user or assistant", path, i, clip(m.Role))
		}
	}
	t.system, t.messages, t.open, t.file = system, messages, false, path
	fmt.Fprintf(t.out, "%d messages with %s\n", len(messages), saved.Model)
	return nil
}

// savedNames lists the conversations in the folder of a file that does not exist.
func savedNames(path string) string {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.json"))
	if err != nil || len(files) == 0 {
		return ""
	}
	var names []string
	for _, f := range files[:min(len(files), 20)] {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return ": there are " + strings.Join(names, ", ")
}
