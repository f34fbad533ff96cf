package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows how far long work has come: with a bar on a terminal, elsewhere
// with a line every two seconds.
type progress struct {
	out   io.Writer
	name  string        // of what is worked on
	bars  *mpb.Progress // nil when out is no terminal
	bar   *mpb.Bar      // of the current stage
	at    string        // the current stage
	total int64         // of the stage whose bar or last line is shown
	next  time.Time     // when the next line is due
	brief bool          // bars leave nothing behind
}

// loading shows how far a model is loaded, if that takes long enough for somebody to
// wonder. end is called when it is over.
func loading(out io.Writer, name string) (report func(done, total int64), end func()) {
	p := newProgress(out, name)
	p.brief = true
	wait := 2 * time.Second
	if p.bars != nil {
		wait = 300 * time.Millisecond
	}
	due := time.Now().Add(wait)
	report = func(done, total int64) {
		if p.at != "" || time.Now().After(due) && done < total {
			p.stage("loading", done, total)
		}
	}
	return report, p.stop
}

func newProgress(out io.Writer, name string) *progress {
	p := &progress{out: out, name: name}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(60))
	}
	return p
}

// stage reports how far a stage of the work has come. A total of zero means
// that nobody knows how long it will take.
func (p *progress) stage(stage string, done, total int64) {
	if p.bars == nil {
		p.line(stage, done, total)
		return
	}
	if stage != p.at || total != p.total {
		p.endBar()
		p.at, p.total = stage, total
		p.bar = p.bars.AddBar(total, mpb.BarOptional(mpb.BarRemoveOnComplete(), p.brief),
			mpb.PrependDecorators(decor.Name(stage+" "+p.name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKiloByte("% .0f / % .0f"),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 7}), "")),
		)
	}
	p.bar.SetCurrent(done)
}

// count reports how many things of how many are done, where stage reports bytes.
func (p *progress) count(stage string, done, total int) {
	if p.bars == nil {
		if now := time.Now(); done == total || now.After(p.next) {
			p.next = now.Add(2 * time.Second)
			fmt.Fprintf(p.out, "%s %s: %d of %d\n", stage, p.name, done, total)
		}
		return
	}
	if p.bar == nil {
		p.bar = p.bars.AddBar(int64(total),
			mpb.PrependDecorators(decor.Name(stage+" "+p.name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersNoUnit("%d / %d"), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 8})),
		)
	}
	p.bar.SetCurrent(int64(done))
}

// notice prints a line, above the bar if there is one.
func (p *progress) notice(line string) {
	if p.bars == nil {
		fmt.Fprintln(p.out, line)
		return
	}
	fmt.Fprintln(p.bars, line)
}

// line prints a stage at its beginning, at its end, and every two seconds.
func (p *progress) line(stage string, done, total int64) {
	if stage == p.at && time.Now().Before(p.next) && done < total {
		return
	}
	if stage == p.at && done >= total && p.total == total {
		return
	}
	p.at, p.next = stage, time.Now().Add(2*time.Second)
	if done >= total {
		p.total = total
	}
	if total > 0 {
		fmt.Fprintf(p.out, "%s %s: %s of %s\n", stage, p.name, bytesText(done), bytesText(total))
	} else {
		fmt.Fprintf(p.out, "%s %s\n", stage, p.name)
	}
}

func (p *progress) endBar() {
	if p.bar != nil {
		if !p.bar.Completed() {
			p.bar.Abort(p.brief) // else it stays on the screen as far as it has come
		}
		p.bar = nil
	}
}

// stop ends the display and leaves the cursor on a line of its own.
func (p *progress) stop() {
	if p.bars != nil {
		p.endBar()
		p.bars.Wait()
	}
}
