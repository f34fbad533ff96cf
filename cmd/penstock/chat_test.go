package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/quant"
	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// console is a penstock run in a terminal, and the person before it.
type console struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	mu   sync.Mutex
	seen bytes.Buffer // since the last line was typed
}

// startChat starts a chat in a terminal of 200 columns. Its files are in dir.
func startChat(t *testing.T, dir string, args ...string) *console {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no pseudo-terminals of this kind")
	}
	c := &console{t: t, cmd: program(t, append([]string{"run"}, args...)...)}
	c.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir, "TERM=xterm")
	c.cmd.Dir = dir
	tty, err := pty.StartWithSize(c.cmd, &pty.Winsize{Rows: 24, Cols: 200})
	if err != nil {
		t.Fatal(err)
	}
	c.tty = tty
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		tty.Close()
	})
	go c.watch()
	return c
}

// watch notes what is printed.
func (c *console) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := c.tty.Read(buffer)
		if err != nil {
			return
		}
		c.mu.Lock()
		c.seen.Write(buffer[:n])
		c.mu.Unlock()
	}
}

// cursor is what the editor prints around everything that it draws: how much it draws at once depends on time.
var cursor = strings.NewReplacer("\x1b[?25l", "", "\x1b[?25h", "")

// await waits until a text has been printed.
func (c *console) await(text string) {
	c.t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		all := c.seen.String()
		c.mu.Unlock()
		if strings.Contains(cursor.Replace(all), text) {
			return
		}
		if time.Since(start) > 2*time.Minute {
			c.t.Fatalf("%q does not come, but %q", text, all)
		}
	}
}

// prints waits until as many bytes have been printed.
func (c *console) prints(n int) {
	c.t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		all := c.seen.String()
		c.mu.Unlock()
		if len(all) >= n {
			return
		}
		if time.Since(start) > 2*time.Minute {
			c.t.Fatalf("no %d bytes come, but %q", n, all)
		}
	}
}

// keys types.
func (c *console) keys(text string) {
	c.mu.Lock()
	c.seen.Reset()
	c.mu.Unlock()
	io.WriteString(c.tty, text)
}

// ends waits for the end of the program.
func (c *console) ends(status int) {
	c.t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.cmd.Wait() }()
	select {
	case <-done:
		if got := c.cmd.ProcessState.ExitCode(); got != status {
			c.t.Errorf("it ends with status %d, want %d", got, status)
		}
	case <-time.After(2 * time.Minute):
		c.t.Fatal("it does not end")
	}
}

// saved are the messages in a conversation that was saved in dir.
func saved(t *testing.T, dir, name string) []savedMessage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var conversation savedChat
	if err := json.Unmarshal(text, &conversation); err != nil {
		t.Fatal(err)
	}
	return conversation.Messages
}

func chatModel(t *testing.T, context int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := tinymodel.Write(path, tinymodel.Options{Type: quant.Q8_0, Context: context}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChat is a conversation in a terminal.
func TestChat(t *testing.T) {
	model, dir := chatModel(t, 1<<15), t.TempDir()
	c := startChat(t, dir, "--max-tokens", "3", "--temperature", "0", model)
	c.await(">>>")

	// A paste of several lines is one message, letters are those that were typed,
	// and a message may be long.
	c.keys("\x1b[200~one\rtwo\r  \tthree\x1b[201~\r")
	c.await("(cut after 3 tokens: /more goes on)")
	c.keys("Größe 你好 👩‍👩‍👧 é\r")
	c.await("(cut after 3 tokens: /more goes on)")
	long := strings.Repeat("wörd ", 2000)
	c.keys("\x1b[200~" + long + "\x1b[201~\r")
	c.await("(cut after 3 tokens: /more goes on)")
	c.keys("\"\"\"first\rsecond\"\"\"\r")
	c.await("(cut after 3 tokens: /more goes on)")
	c.keys("/more\r")
	c.await("(cut after 3 tokens: /more goes on)")
	c.keys("/set system Be brief.\r")
	c.await(">>>")
	c.keys("/save a.json\r")
	c.await("saved to a.json")
	got := saved(t, dir, "a.json")
	want := []string{"Be brief.", "one\ntwo\n  \tthree", "", "Größe 你好 👩‍👩‍👧 é", "", long, "", "first\nsecond", ""}
	if len(got) != len(want) {
		t.Fatalf("%d messages: %q", len(got), got)
	}
	for i, m := range got {
		if want[i] != "" && m.Content != want[i] {
			t.Errorf("message %d is %.60q, want %.60q", i, m.Content, want[i])
		}
	}

	// Ctrl-C throws a line away, and stops an answer, but not the program.
	c.keys("not this\x03")
	c.await("not this^C")
	c.keys("/clear\r")
	c.await(">>>")
	c.keys("/set parameter num_predict -1\r") // no limit
	c.await(">>>")
	c.keys("b\r") // what the model answers to this takes seconds
	c.prints(400) // it says something: the input alone is shorter
	c.keys("\x03")
	c.keys("/save b.json\r")
	c.await("saved to b.json")
	if got := saved(t, dir, "b.json"); len(got) != 3 || got[1].Content != "b" || len(got[2].Content) > 1<<16 {
		t.Errorf("after an answer that was stopped: %.200q", got)
	}
	c.keys("/save a.json\r")
	c.await("a.json exists: choose another name")
	c.keys("/load a.json\r")
	c.await("8 messages with")
	c.keys("/fetch\r")
	c.await("unknown command /fetch")
	c.keys("\x04")
	c.ends(0)

	// The next chat knows what was typed in this one.
	c = startChat(t, dir, "--max-tokens", "3", model)
	c.await(">>>")
	c.keys("\x1b[A\x1b[A\x1b[A\x1b[A\r")
	c.await(">>> /save b.json\x1b[K") // Enter draws the line anew, and whole
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.ends(130)
}

// TestChatFillsTheContext: what no longer fits is said, with a way out.
func TestChatFillsTheContext(t *testing.T) {
	c := startChat(t, t.TempDir(), "--max-tokens", "0", "--temperature", "0", "--ctx", "64", "--no-history", chatModel(t, 512))
	c.await(">>>")
	c.keys("hello\r")
	c.await("the context of 64 tokens is full: /clear begins a new conversation, --ctx gives up to 512 tokens)")
	c.keys("and then?\r")
	c.await("does not fit the context of 64: /clear begins a new conversation")
	c.keys("/more\r")
	c.await("the last answer is complete")
	c.keys("/bye\r")
	c.ends(0)
}

// rawTalk is a talk with a model in this process, without a chat template.
func rawTalk(t *testing.T, path string, maxTokens int) *talk {
	t.Helper()
	var cli commands
	in, err := cli.load(t.Context(), terminal{err: io.Discard}, path, instanceOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	server, err := newInProcess("m", in, cpu.Detect(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.close()
		in.Close()
	})
	return &talk{model: "m", in: in, raw: true, at: &remoteModel{&server.remote, "m", in.Context()}, out: io.Discard, err: io.Discard,
		settings: settings{maxTokens: maxTokens, sampling: samplingFlags{Temperature: new(0.0)}}}
}

// TestMoreContinues: a cut answer goes on from what it says, and stays one message.
func TestMoreContinues(t *testing.T) {
	path := chatModel(t, 512)
	pieces, other := rawTalk(t, path, 7), rawTalk(t, path, 7)
	if _, err := pieces.say(t.Context(), "Tell me."); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		said := strings.TrimSuffix(content(pieces.messages[1]), "\uFFFD")
		want, err := other.say(t.Context(), "Tell me."+said)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pieces.more(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := content(pieces.messages[1]); len(pieces.messages) != 2 || got != said+want.text || want.text == "" {
			t.Fatalf("after %q: %q, want %q more; %d messages", said, got, want.text, len(pieces.messages))
		}
	}
}

// TestMoreAfterStop: an answer that was stopped goes on, and so does one after a message
// or a continuation that has failed.
func TestMoreAfterStop(t *testing.T) {
	c := rawTalk(t, chatModel(t, 512), 200)
	ctx, stop := context.WithCancel(t.Context())
	c.show = func(piece) error {
		stop()
		return nil
	}
	if _, err := c.say(ctx, "Tell me."); !errors.Is(err, context.Canceled) || len(c.messages) != 2 {
		t.Fatalf("%v, %d messages", err, len(c.messages))
	}
	c.show, c.maxTokens = nil, 3
	for range 2 {
		if _, err := c.more(ctx); !errors.Is(err, context.Canceled) { // nothing comes
			t.Fatal(err)
		}
	}
	if _, err := c.say(t.Context(), strings.Repeat("too long ", 500)); !tooLong(err) {
		t.Fatal(err)
	}
	before := content(c.messages[1])
	if a, err := c.more(t.Context()); err != nil || a.text == "" || len(c.messages) != 2 || len(content(c.messages[1])) <= len(before) {
		t.Errorf("%v: %q after %q, %d messages", err, a.text, before, len(c.messages))
	}
}

// TestLoadIsInterrupted: who presses Ctrl-C does not wait for the model.
func TestLoadIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var cli commands
	in, err := cli.load(ctx, terminal{err: io.Discard}, chatModel(t, 1<<15), instanceOptions(t))
	if !errors.Is(err, context.Canceled) || in != nil || exitCode(err) != 130 {
		t.Errorf("%v, %v", in, err)
	}
}

// TestHistoryIsBounded: old messages go, long ones are not kept, and lines of
// another kind do no harm.
func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	h, err := openHistory()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * historySize {
		if err := h.add(strings.Repeat("x", i%50+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.add(strings.Repeat("long ", historyMessage)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "penstock", "history")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(file, "{\"not\": \"a message\"}\n\n")
	file.Close()
	if h, err = openHistory(); err != nil || len(h.messages) > historySize || len(h.messages) < historySize-3 {
		t.Fatalf("%d messages, %v", len(h.messages), err)
	}
	if last := h.messages[len(h.messages)-1]; last != strings.Repeat("x", 50) {
		t.Errorf("the last is %.20q", last)
	}
}

// TestSettings: what /set, /show, /stats, /file and /load say and do.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"s.json": `{"type":"object","properties":{"a":{"enum":[1]}},"required":["a"],"additionalProperties":false}`, "n.txt": "Notes.\n", "b.bin": "a\x00b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := startChat(t, dir, "--max-tokens", "9", "--temperature", "0", chatModel(t, 512))
	c.await(">>>")
	for _, step := range [][2]string{
		{"/?", "three quotes"},
		{"/stats", "nothing has been answered yet"},
		{"/set format s.json", ">>>"},
		{"hello", `{"a":1`},
		{"/stats", "first piece after"},
		{"/show", "format        s.json"},
		{"/set noformat", ">>>"},
		{"/set format", "want /set format json"},
		{"/set format n.txt", "it is no JSON"},
		{"/set think", "was not taught to think"},
		{"/set think much", "is no way to think"},
		{"/set nothink", ">>>"},
		{"/set verbose", ">>>"},
		{"more", "answer 9 tokens,"},
		{"/set quiet", ">>>"},
		{"/set noformats", "do you mean noformat?"},
		{"/set quiet now", "takes no"},
		{"/show license", "the file names no license"},
		{"/show template", "m"},
		{"/show modelfile", "there are no model files here"},
		{"/show parameters", "max-tokens"},
		{"/file b.bin", "only text can be read"},
		{"/file n.txt", "comes before the next message: 7 B"},
		{"why?", "/more goes on"},
		{"/set nohistory", ">>>"},
		{"a secret", "/more goes on"},
		{"/set system \"\"\"two\rlines\"\"\"", ">>>"},
		{"/show system", "lines"},
		{"/load other", "there is no "},
		{"/save c.json", "saved to c.json"},
	} {
		c.keys(step[0] + "\r")
		c.await(step[1])
	}
	c.keys("/bye\r")
	c.ends(0)
	var asked []string
	for _, m := range saved(t, dir, "c.json") {
		if m.Role != "assistant" {
			asked = append(asked, m.Content)
		}
	}
	want := []string{"two\nlines", "hello", "more", "n.txt\n```\nNotes.\n```\n\nwhy?", "a secret"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	past, err := os.ReadFile(filepath.Join(dir, "penstock", "history"))
	if err != nil || !strings.Contains(string(past), "why?") || strings.Contains(string(past), "a secret") {
		t.Errorf("history %q, %v", past, err)
	}
}

// TestSheet: an answer that is shown while it grows leaves the same rows as at once,
// in order and each once, however little room the open ones have.
func TestSheet(t *testing.T) {
	const text = "# One\n\nSome words that fill more than one row.\n\n- a\n- b\n\n```\n1\n2\n3\n4\n5\n6\n```\n\nEnd."
	const thought = "Hm, let me see now.\nYes."
	want := []string{"", "Hm, let me see now.", "Yes.", "", "One", "", "Some words that fill", "more than one row.", "", "• a", "• b", "",
		"  1", "  2", "  3", "  4", "  5", "  6", "", "End."}
	for _, pace := range []int{1, 5, 100} {
		s := &sheet{started: true}
		var rows []string
		feed := func(text string, thought bool) {
			for at := 0; at < len(text); at += pace {
				done, _ := s.take(piece{text[at:min(at+pace, len(text))], thought}, 20)
				rows = append(append(rows, done...), s.draw(20, 3, false)...)
				if open := s.rows(); len(open) > 3 {
					t.Fatalf("%d open rows: %q", len(open), open)
				}
			}
		}
		feed(thought, true)
		feed(text, false)
		rows = append(rows, s.draw(20, 3, true)...)
		for i, row := range rows {
			if (i == 1 || i == 2) && !strings.HasPrefix(row, "\x1b[2m") {
				t.Errorf("what it thinks is not dimmed: %q", row)
			}
			rows[i] = ansi.Strip(row)
		}
		if !slices.Equal(rows, want) {
			t.Errorf("%d at a time: %q, want %q", pace, rows, want)
		}
	}
}

func TestOpenFence(t *testing.T) {
	for text, want := range map[string]string{
		"a": "", "```go\nx": "```go", "```go\nx\n```": "", "~~~\n```\n": "~~~", "```\na\n```\nb\n````c++\n```\n": "````c++",
	} {
		if got := openFence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestAnswerOnTerminal: one prompt on a terminal is answered there, and the program ends.
func TestAnswerOnTerminal(t *testing.T) {
	c := startChat(t, t.TempDir(), "--max-tokens", "5", "--temperature", "0", chatModel(t, 512), "hello")
	c.await("cut after 5 tokens")
	c.ends(0)
}

// TestVisible: a model cannot talk to the terminal.
func TestVisible(t *testing.T) {
	if got := visible("a\x1b]0;title\x07\n\tß\u009b1m\x7f"); got != "a␛]0;title␇\n\tß␡1m␡" {
		t.Errorf("%q", got)
	}
}

// TestRows: an answer leaves the screen in rows that fit it, in order, with its
// empty rows and its indentation.
func TestRows(t *testing.T) {
	s := newScreen(t.Context(), &history{}, nil)
	s.width = 10
	for _, text := range []string{"one two th", "ree four\n", "\n", "  indented\n\tfive\n", "你好世界你好", "世界"} {
		s.print(text)
	}
	want := []string{"one two", "three four", "", "  indented", "    five", "你好世界你"}
	if !slices.Equal(s.rows, want) || s.row != "好世界" {
		t.Errorf("rows %q and %q, want %q", s.rows, s.row, want)
	}
}

func TestParseCommand(t *testing.T) {
	for line, want := range map[string]string{
		"/?": "help|", " /help ": "help|", "/set system Be  brief. ": "set|system Be  brief.", "/quit": "bye|",
		"/usr/bin is": "", "hello": "", "/": "", "// no": "", "/save\nx": "", "/set system a\nb": "set|system a\nb",
	} {
		name, args, ok := parseCommand(line)
		if got := name + "|" + args; ok && got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", line, got, ok)
		}
	}
}

func instanceOptions(t *testing.T) instance.Options {
	t.Helper()
	return instance.Options{Tier: cpu.Detect(), Threads: 1, MaxBatch: 1}
}
