package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// topScreen draws what a server does, and looks again after each interval.
type topScreen struct {
	ctx     context.Context
	command *topCommand
	watch   *watching
	looks   []*look // the last ones, the newest last
	rates   []float64
	seen    int
	problem error // of the last look: the figures are old
	err     error // what ended the program
	width   int
	height  int
}

// window is how many looks the quantiles are of, so that they do not jump about when
// few requests end in an interval.
const window = 30

func newTopScreen(ctx context.Context, c *topCommand, w *watching, first *look) *topScreen {
	return &topScreen{ctx: ctx, command: c, watch: w, looks: []*look{first}, width: 80, height: 24}
}

// The messages to the screen: it is time to look, and what was seen.
type (
	lookTime struct{}
	looked   struct {
		look *look
		err  error
	}
)

// Init, Update and View make topScreen a tea.Model.
func (s *topScreen) Init() tea.Cmd { return s.later() }

func (s *topScreen) later() tea.Cmd {
	return tea.Tick(s.command.Interval, func(time.Time) tea.Msg { return lookTime{} })
}

// Update takes in a key, a size or a look.
func (s *topScreen) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c", "ctrl+d":
			return s, tea.Quit
		}
	case tea.WindowSizeMsg:
		s.width, s.height = m.Width, m.Height
	case lookTime:
		return s, func() tea.Msg {
			l, err := s.watch.look(s.ctx)
			return looked{l, err}
		}
	case looked:
		s.seen++
		if s.problem = m.err; m.err == nil {
			s.keep(m.look)
		}
		if s.command.Count > 0 && s.seen >= s.command.Count {
			s.err = m.err
			return s, tea.Quit
		}
		return s, s.later()
	}
	return s, nil
}

// keep adds a look, and forgets those that no quantile is of.
func (s *topScreen) keep(l *look) {
	s.rates = append(s.rates, l.since(s.looks[len(s.looks)-1]).generated)
	s.looks = append(s.looks, l)
	s.looks = s.looks[max(0, len(s.looks)-window-1):]
	s.rates = s.rates[max(0, len(s.rates)-maxSpark):]
}

// View is the whole screen.
func (s *topScreen) View() tea.View {
	rows := s.rows()
	for i, row := range rows {
		rows[i] = ansi.Truncate(row, s.width, "…")
	}
	v := tea.NewView(strings.Join(rows[:min(len(rows), max(s.height, 1))], "\n"))
	v.AltScreen = true
	return v
}

func (s *topScreen) rows() []string {
	now, first := s.looks[len(s.looks)-1], s.looks[0]
	last := pace{hits: math.NaN(), first: quantiles{math.NaN(), math.NaN(), math.NaN()}}
	last.between = last.first
	if len(s.looks) > 1 {
		last = now.since(first)
		recent := now.since(s.looks[len(s.looks)-2])
		last.generated, last.prompts = recent.generated, recent.prompts
	}
	v := now.values
	state := "ready"
	switch {
	case s.problem != nil:
		state = "does not answer since " + now.at.Format(time.TimeOnly)
	case v["step_stuck_seconds"] > 0:
		state = fmt.Sprintf("STUCK: a step has not ended for %.0f s", v["step_stuck_seconds"])
	case v["ready"] == 0:
		state = "loading or draining"
	}
	hits := "-"
	if !math.IsNaN(last.hits) {
		hits = fmt.Sprintf("%.0f %%", 100*last.hits)
	}
	if s.problem != nil || v["step_stuck_seconds"] > 0 {
		state = inColour(ansi.Red, state)
	}
	const before = 53 // what stands before the sparks
	rates := s.rates[max(0, len(s.rates)-max(s.width-before, 0)):]
	rows := []string{
		fmt.Sprintf("%s   %s   %s   %s   %s", strong("penstock top"), s.watch.url, strong(strings.Join(now.models, ", ")), state, now.at.Format(time.TimeOnly)),
		"",
		fmt.Sprintf("batch     %s %3.0f of %.0f run", bar(v["requests_running"], v["batch_size"]), v["requests_running"], v["batch_size"]),
		fmt.Sprintf("queue     %s %3.0f of %.0f wait", bar(v["requests_waiting"], v["queue_size"]), v["requests_waiting"], v["queue_size"]),
		fmt.Sprintf("KV cache  %s %3.0f %% used; of prompts it had %s", bar(v["kv_cache_usage_ratio"], 1), 100*v["kv_cache_usage_ratio"], hits),
		"",
		fmt.Sprintf("tokens/s  %8.1f generated, %8.1f of prompts   %s", last.generated, last.prompts, inColour(ansi.Green, spark(rates))),
		fmt.Sprintf("TTFT      p50 %8s   p90 %8s   p99 %8s", timeText(last.first.p50), timeText(last.first.p90), timeText(last.first.p99)),
		fmt.Sprintf("ITL       p50 %8s   p90 %8s   p99 %8s", timeText(last.between.p50), timeText(last.between.p90), timeText(last.between.p99)),
		fmt.Sprintf("requests  %.0f stop, %.0f length, %.0f abort, %.0f error; %.0f refused; %.0f preemptions",
			now.ended["stop"], now.ended["length"], now.ended["abort"], now.ended["error"], v["requests_refused_total"], v["preemptions_total"]),
		fmt.Sprintf("process   %s resident, %.0f goroutines, %.0f HTTP requests", bytesText(uint64(v["process_resident_memory_bytes"])), v["goroutines"], v["http_requests_in_flight"]),
		"",
	}
	return append(rows, now.table()...)
}

// table has a row for each request in the batch of a model.
func (l *look) table() []string {
	if len(l.seats) == 0 {
		text := "no request runs; q leaves"
		if l.values["requests_running"] > 0 {
			text = "the server does not show the requests that run (the key may not allow it); q leaves"
		}
		return []string{text}
	}
	rows := []string{ansi.Style{}.Reverse(true).String() + "PLACE  REQUEST      PROMPT    CACHED  COMPUTED    ANSWER  MODEL" + ansi.ResetStyle}
	for _, p := range l.seats {
		s := p.slot
		rows = append(rows, fmt.Sprintf("%5d  %7d  %10d  %8d  %8d  %8d  %s", s.ID, s.IDTask, s.NPrompt, s.NPromptCache, s.NPromptProcessed, s.NextToken.NDecoded, p.model))
	}
	return rows
}

const barWidth, maxSpark = 30, 40

// bar is a part of a whole, drawn, in the colour of how full it is.
func bar(part, whole float64) string {
	n := 0
	if whole > 0 {
		n = int(math.Round(barWidth * min(max(part/whole, 0), 1)))
	}
	colour := ansi.Green
	switch {
	case n >= barWidth*9/10:
		colour = ansi.Red
	case n >= barWidth*7/10:
		colour = ansi.Yellow
	}
	return "[" + inColour(colour, strings.Repeat("|", n)) + strings.Repeat(" ", barWidth-n) + "]"
}

func inColour(c ansi.BasicColor, text string) string {
	return ansi.Style{}.ForegroundColor(c).String() + text + ansi.ResetStyle
}

func strong(text string) string { return ansi.Style{}.Bold().String() + text + ansi.ResetStyle }

// spark draws numbers as a row of blocks, the largest as the highest.
func spark(values []float64) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		i := 0
		if most > 0 {
			i = int(v / most * float64(len(levels)-1))
		}
		b.WriteRune(levels[min(max(i, 0), len(levels)-1)])
	}
	return b.String()
}
