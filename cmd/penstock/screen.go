package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-llm/penstock/internal/server/ui/markdown"
)

// screen draws the last rows of the terminal during a chat: the unfinished rows of
// the answer, and below them the input. Finished rows are printed above and scroll
// away like any program's output. Keys are read all the time, so that the next
// message can be typed during an answer.
type screen struct {
	ctx      context.Context
	handle   func(context.Context, string) error // answers a message or carries out a command
	input    textarea.Model
	width    int
	height   int
	answer   *sheet             // the answer that is coming; nil: none is
	colour   bool               // NO_COLOR is not set
	row      string             // unfinished row of what else is printed
	rows     []string           // finished rows that are not printed yet
	writing  bool               // a command that prints rows is running
	stop     context.CancelFunc // ends the answer; nil if there is none at the moment
	waiting  []string           // messages that were sent during the answer
	pastes   []string           // texts that marks in the input stand for
	history  *history
	at       int    // index of the history's message in the input; len(messages) if it is none of them
	draft    string // the input before the first Up
	finished bool
	silent   bool // nothing is typed: it shows one answer
}

// The messages to the screen besides keys: a piece is part of an answer, printed is
// text of a command or of an answer that is no Markdown, handled says that an answer or a command has ended, written says that
// finished rows have been printed, over that the only answer has ended.
type (
	printed string
	handled struct{ err error }
	written struct{}
	over    struct{}
)

// printer is an io.Writer that sends text to the screen.
type printer struct{ send func(tea.Msg) }

func (p printer) Write(text []byte) (int, error) {
	p.send(printed(text))
	return len(text), nil
}

func newScreen(ctx context.Context, h *history, handle func(context.Context, string) error) *screen {
	input := textarea.New()
	input.SetStyles(textarea.Styles{})
	input.SetVirtualCursor(false)
	input.ShowLineNumbers = false
	input.CharLimit = 0
	input.DynamicHeight, input.MinHeight, input.MaxHeight, input.MaxContentHeight = true, 1, 10, 1<<20
	input.SetPromptFunc(4, func(p textarea.PromptInfo) string {
		if p.LineNumber == 0 {
			return ">>> "
		}
		return "... "
	})
	input.KeyMap.InsertNewline.SetKeys("alt+enter", "shift+enter", "ctrl+j")
	input.KeyMap.Paste.SetEnabled(false) // pastes come from the terminal, as PasteMsg
	return &screen{ctx: ctx, handle: handle, input: input, width: 80, height: 24, colour: os.Getenv("NO_COLOR") == "", history: h, at: len(h.messages)}
}

// Init, Update and View make screen a tea.Model.
func (s *screen) Init() tea.Cmd { return s.input.Focus() }

// View is the text of the last rows, and the place of the cursor.
func (s *screen) View() tea.View {
	if s.finished {
		return tea.NewView(s.row)
	}
	above := s.above()
	if s.silent {
		return tea.NewView(strings.Join(above, "\n"))
	}
	view := tea.NewView(strings.Join(append(above, s.input.View()), "\n"))
	if view.Cursor = s.input.Cursor(); view.Cursor != nil {
		view.Cursor.Y += len(above)
	}
	return view
}

// above are the unfinished rows above the input.
func (s *screen) above() (rows []string) {
	if s.answer != nil {
		rows = s.answer.rows()
	}
	if s.row != "" {
		rows = append(rows, s.row)
	}
	return rows
}

// Update handles a message and prints the rows that it finished.
func (s *screen) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	command := s.take(message)
	return s, tea.Batch(command, s.write())
}

func (s *screen) take(message tea.Msg) (command tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		s.width, s.height = max(m.Width, 10), m.Height
		s.input.SetWidth(s.width)
		return nil
	case piece:
		if s.answer == nil {
			s.answer = &sheet{paper: markdown.Paper{Colour: s.colour}, started: !s.silent}
		}
		rows, command := s.answer.take(m, s.width)
		s.rows = append(s.rows, rows...)
		return command
	case redraw:
		if s.answer != nil {
			s.rows = append(s.rows, s.answer.draw(s.width, s.height/2-s.input.Height(), false)...)
		}
		return nil
	case printed:
		s.endAnswer()
		s.print(string(m))
		return nil
	case handled:
		return s.done(m.err)
	case written:
		s.writing = false
		return nil
	case over:
		s.endAnswer()
		s.leave()
		return nil
	case tea.PasteMsg:
		s.insert(strings.ReplaceAll(strings.ReplaceAll(m.Content, "\r\n", "\n"), "\r", "\n"))
		return nil
	case tea.KeyPressMsg:
		if command, ok := s.key(m.String()); ok {
			return command
		}
	}
	s.input, command = s.input.Update(message)
	return command
}

// write prints the finished rows. Commands run concurrently, so the next one waits
// until the one before has printed: this keeps the rows in order. The library makes
// room by scrolling: rows that do not fit above what it draws, which is less than
// half of the terminal, would push that out, and it would be seen twice.
func (s *screen) write() tea.Cmd {
	if s.writing {
		return nil
	}
	if len(s.rows) == 0 {
		if s.finished {
			return tea.Quit
		}
		return nil
	}
	n := min(len(s.rows), max(s.height/2-1, 1))
	text := strings.Join(s.rows[:n], "\n")
	if text == "" {
		text = " " // the library prints no row for an empty text
	}
	s.rows, s.writing = s.rows[n:], true
	return tea.Sequence(tea.Println(text), func() tea.Msg { return written{} })
}

// key handles the keys that do not edit the input. ok is false for all others.
func (s *screen) key(name string) (tea.Cmd, bool) {
	switch name {
	case "enter":
		if closed(s.input.Value()) {
			return s.submit(), true
		}
		s.input.InsertString("\n")
		return nil, true
	case "ctrl+c":
		s.interrupt()
		return nil, true
	case "ctrl+d":
		if s.input.Value() == "" {
			s.leave()
			return nil, true
		}
	case "ctrl+l":
		return tea.ClearScreen, true
	case "ctrl+z":
		return tea.Suspend, true
	case "up":
		return nil, s.input.Line() == 0 && s.input.LineInfo().RowOffset == 0 && s.recall(s.at-1)
	case "down":
		last := s.input.LineInfo()
		return nil, s.input.Line() == s.input.LineCount()-1 && last.RowOffset == last.Height-1 && s.recall(s.at+1)
	}
	return nil, false
}

// submit sends what has been typed.
func (s *screen) submit() tea.Cmd {
	shown := s.input.Value()
	message := unfenced(s.expand(shown))
	s.reset()
	if strings.TrimSpace(message) == "" {
		return nil
	}
	s.say(prompted(shown))
	if err := s.history.add(message); err != nil {
		s.say(fmt.Sprintf("penstock: what you type is forgotten when you leave: %v", err))
	}
	s.at = len(s.history.messages)
	if s.stop != nil {
		s.waiting = append(s.waiting, message)
		return nil
	}
	return s.begin(message)
}

// prompted is a message as it stays on the terminal after it was sent.
func prompted(text string) string {
	return ">>> " + strings.ReplaceAll(text, "\n", "\n... ")
}

// begin starts to answer a message. It runs concurrently with the input.
func (s *screen) begin(message string) tea.Cmd {
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	return func() tea.Msg { return handled{s.handle(ctx, message)} }
}

// done is called at the end of an answer. It starts with the next message if one
// was sent during the answer.
func (s *screen) done(err error) tea.Cmd {
	s.stop()
	s.stop = nil
	s.endAnswer()
	if s.row != "" {
		s.print("\n")
	}
	if errors.Is(err, errLeave) {
		s.leave()
		return nil
	}
	if err != nil {
		s.say(fmt.Sprintf("penstock: %v", plain(err)))
	}
	if len(s.waiting) == 0 {
		return nil
	}
	next := s.waiting[0]
	s.waiting = s.waiting[1:]
	return s.begin(next)
}

// endAnswer finishes the rows of the answer.
func (s *screen) endAnswer() {
	if s.answer != nil {
		s.rows = append(s.rows, s.answer.draw(s.width, 0, true)...)
		s.answer = nil
	}
}

// say prints a note between the rows of the answer.
func (s *screen) say(text string) {
	row := s.row
	s.row = ""
	s.print(text + "\n")
	s.row = row
}

// interrupt is Ctrl-C. It stops the answer and forgets the messages that wait;
// without an answer it clears the input.
func (s *screen) interrupt() {
	switch shown := s.input.Value(); {
	case s.stop != nil:
		s.waiting = nil
		s.stop()
	case shown != "":
		s.reset()
		s.say(prompted(shown) + "^C")
	default:
		s.say("(Ctrl-D or /bye leaves)")
	}
}

// leave ends the chat as soon as the finished rows are printed.
func (s *screen) leave() {
	if s.stop != nil {
		s.stop()
	}
	s.finished = true
}

func (s *screen) reset() {
	s.input.Reset()
	s.pastes, s.at, s.draft = nil, len(s.history.messages), ""
}

// recall replaces the input by message number at of the history. Below the newest
// message is the draft. It reports whether the key that asked for it is used up.
func (s *screen) recall(at int) bool {
	if at < 0 || at > len(s.history.messages) || at == s.at {
		return at < 0 // Up at the oldest message does nothing
	}
	if s.at == len(s.history.messages) {
		s.draft = s.expand(s.input.Value())
	}
	s.input.Reset()
	s.pastes, s.at = nil, at
	if at == len(s.history.messages) {
		s.insert(s.draft)
	} else {
		s.insert(s.history.messages[at])
	}
	return true
}

// insert puts a text into the input. The input would change tabs, and a long text
// would fill the terminal: such a text is kept in pastes, and a mark stands for it.
func (s *screen) insert(text string) {
	lines := strings.Count(text, "\n") + 1
	if lines > 8 || len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == utf8.RuneError }) {
		s.pastes = append(s.pastes, text)
		text = mark(len(s.pastes), text)
	}
	s.input.InsertString(text)
}

// mark stands for the n-th paste in the input.
func mark(n int, text string) string {
	return fmt.Sprintf("[paste %d: %d lines, %d characters]", n, strings.Count(text, "\n")+1, utf8.RuneCountInString(text))
}

// expand replaces the marks in a text by their pastes.
func (s *screen) expand(text string) string {
	for i, paste := range s.pastes {
		text = strings.Replace(text, mark(i+1, paste), paste, 1)
	}
	return text
}

// print adds text to the answer and breaks it into rows as wide as the terminal,
// at spaces where there are some. All rows but the last are finished.
func (s *screen) print(text string) {
	rows := strings.Split(ansi.Wrap(s.row+visible(strings.ReplaceAll(text, "\t", "    ")), s.width, " "), "\n")
	s.row = rows[len(rows)-1]
	s.rows = append(s.rows, rows[:len(rows)-1]...)
}

// visible replaces control characters by their pictures. Otherwise a model's
// answer could send commands to the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r >= ' ' && r < 0x7F || r > 0x9F:
			return r
		case r < ' ':
			return r + 0x2400
		default:
			return 0x2421 // DEL, and the control characters after it
		}
	}, text)
}

// fence begins and ends a message of several lines.
const fence = `"""`

// closed reports whether a message can be sent: one that begins with three quotes
// needs three more at its end.
func closed(text string) bool {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "/set system "); ok {
		text = strings.TrimSpace(rest)
	}
	rest, fenced := strings.CutPrefix(text, fence)
	return !fenced || strings.HasSuffix(rest, fence)
}

// unfenced is a message without the quotes around it.
func unfenced(text string) string {
	inner, opened := strings.CutPrefix(strings.TrimSpace(text), fence)
	if inner, ended := strings.CutSuffix(inner, fence); opened && ended {
		return strings.Trim(inner, "\n")
	}
	return text
}
