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

// progress shows long work: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	out   io.Writer
	name  string
	bars  *mpb.Progress // nil when out is no terminal
	bar   *mpb.Bar
	at    string
	total int64
	next  time.Time
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
		p.bar = p.bars.AddBar(total,
			mpb.PrependDecorators(decor.Name(stage+" "+p.name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKiloByte("% .0f / % .0f"),
				decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 7}), "")),
		)
	}
	p.bar.SetCurrent(done)
}

// count is stage for things that are counted rather than weighed.
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
			p.bar.Abort(false) // where it is, it stays
		}
		p.bar = nil
	}
}

// stop ends the display; the terminal is left in order.
func (p *progress) stop() {
	if p.bars != nil {
		p.endBar()
		p.bars.Wait()
	}
}
