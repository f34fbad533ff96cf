package main

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/penstock-llm/penstock/internal/server/ui/markdown"
)

// sheet is an answer on the screen: what the model thinks, dimmed, and its text as
// Markdown. Blocks that no further text can change are given to the terminal; those
// after them are drawn anew while they grow.
type sheet struct {
	paper   markdown.Paper
	source  string // text that is in no closed block
	thought string // unfinished row of what the model thinks
	thinks  bool   // it was thinking when the last piece came
	started bool   // something stands above, and the next block is set apart
	open    []string
	gone    int // rows of the open blocks that had no room and are finished
	waits   bool
}

// redraw says that it is time to draw what has come.
type redraw struct{}

// redrawing is how often an answer is drawn: seldom enough to leave the processor to
// the model.
const redrawing = 50 * time.Millisecond

// take adds a piece of the answer. It returns the rows that are finished with it,
// and a command if the rest is to be drawn.
func (s *sheet) take(p piece, width int) (rows []string, later tea.Cmd) {
	text := visible(strings.ReplaceAll(p.text, "\t", "    "))
	if p.thought {
		if !s.thinks && s.started {
			rows = append(rows, "")
		}
		s.thinks = true
		all := strings.Split(ansi.Wrap(s.thought+text, width, " "), "\n")
		for _, row := range all[:len(all)-1] {
			rows = append(rows, dimmed(row))
		}
		s.thought = all[len(all)-1]
		s.started = s.started || len(rows) > 0
		return rows, nil
	}
	rows = s.endThought()
	s.source += text
	if s.waits {
		return rows, nil
	}
	s.waits = true
	return rows, tea.Tick(redrawing, func(time.Time) tea.Msg { return redraw{} })
}

// endThought finishes the last row of what the model thought.
func (s *sheet) endThought() (rows []string) {
	if !s.thinks {
		return nil
	}
	s.thinks = false
	if s.thought != "" {
		rows, s.started = []string{dimmed(s.thought)}, true
	}
	s.thought = ""
	return rows
}

// dimmed is a row in a weaker colour.
func dimmed(row string) string {
	if row == "" {
		return ""
	}
	return ansi.Style{}.Faint().String() + row + ansi.ResetStyle
}

// draw lays out what has come. It returns the rows that are finished: those of closed
// blocks, and the first of the open ones if they are more than room. With whole
// nothing more comes, and all are finished.
func (s *sheet) draw(width, room int, whole bool) (rows []string) {
	s.waits = false
	if whole {
		rows = s.endThought()
	}
	s.paper.Width = width
	closed, n, open := s.paper.Rows(s.source, whole)
	s.source = s.source[n:]
	var finished []string
	for _, block := range closed {
		finished = append(finished, s.apart(block)...)
	}
	skipped := min(s.gone, len(finished))
	rows = append(rows, finished[skipped:]...)
	s.gone -= skipped
	started := s.started
	s.open = nil
	for _, block := range open {
		s.open = append(s.open, s.apart(block)...)
	}
	s.started = started // the open blocks are set apart again the next time
	if more := len(s.open) - max(room, 1); more > s.gone {
		rows = append(rows, s.open[s.gone:more]...)
		s.gone = more
	}
	s.open = s.open[min(s.gone, len(s.open)):]
	return rows
}

// apart is a block with an empty row before it, unless it is the first.
func (s *sheet) apart(block []string) []string {
	if !s.started {
		s.started = true
		return block
	}
	return append([]string{""}, block...)
}

// rows are those that are not finished.
func (s *sheet) rows() []string {
	if s.thought != "" {
		return []string{dimmed(s.thought)}
	}
	return s.open
}
