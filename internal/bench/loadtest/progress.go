package loadtest

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Bar shows how far a run is: a bar on a terminal, elsewhere a line every few seconds. A nil *Bar shows nothing.
type Bar struct {
	group *mpb.Progress
	bar   *mpb.Bar

	mu    sync.Mutex
	plain io.Writer
	name  string
	total int
	done  int
	next  time.Time
}

const plainEvery = 5 * time.Second

// NewProgress shows a run of total requests on w; total 0 is unknown. A nil w shows nothing.
func NewProgress(w io.Writer, name string, total int) *Bar {
	if w == nil {
		return nil
	}
	p := &Bar{name: name, total: total, next: time.Now().Add(plainEvery)}
	if f, ok := w.(*os.File); ok && total > 0 && term.IsTerminal(int(f.Fd())) {
		p.group = mpb.New(mpb.WithOutput(f), mpb.WithWidth(40), mpb.WithRefreshRate(250*time.Millisecond))
		p.bar = p.group.AddBar(int64(total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name+" ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d/%d "), decor.Elapsed(decor.ET_STYLE_MMSS)))
		return p
	}
	p.plain = w
	return p
}

// Step counts one request; it may be called from many goroutines.
func (p *Bar) Step() {
	if p == nil {
		return
	}
	if p.bar != nil {
		p.bar.Increment()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(plainEvery)
		if p.total > 0 {
			fmt.Fprintf(p.plain, "%s: %d of %d\n", p.name, p.done, p.total)
		} else {
			fmt.Fprintf(p.plain, "%s: %d\n", p.name, p.done)
		}
	}
}

// End takes the bar away.
func (p *Bar) End() {
	if p == nil || p.bar == nil {
		return
	}
	if !p.bar.Completed() {
		p.bar.Abort(true)
	}
	p.group.Wait()
}
