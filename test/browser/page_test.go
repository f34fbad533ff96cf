package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come.
const patience = 45 * time.Second

var chromium context.Context // the one Chromium of all tests

func TestMain(m *testing.M) {
	path := os.Getenv("CHROMIUM")
	if path == "" {
		path = "chromium"
	}
	if _, err := exec.LookPath(path); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium is missing: `make browser` installs it, or CHROMIUM names it")
		os.Exit(1)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true),
		chromedp.Flag("hide-scrollbars", false), chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en"))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	var end context.CancelFunc
	chromium, end = chromedp.NewContext(allocator)
	if err := chromedp.Run(chromium); err != nil {
		fmt.Fprintln(os.Stderr, "Chromium does not start:", err)
		os.Exit(1)
	}
	code := m.Run()
	end()
	cancel()
	os.Exit(code)
}

// page is a tab with a storage of its own, so that tests do not meet.
type page struct {
	t     *testing.T
	ctx   context.Context
	site  *site
	store cdp.BrowserContextID

	mu      sync.Mutex
	asked   map[network.RequestID]string // addresses that were requested
	faults  []string                     // exceptions, and what the policy has blocked
	allowed []string                     // parts of faults that the test expects
}

// open opens the page, on a screen of the given size.
func open(t *testing.T, s *site, size ...int64) *page {
	t.Helper()
	return openAt(t, s, s.url, size...)
}

func openAt(t *testing.T, s *site, address string, size ...int64) *page {
	t.Helper()
	ctx, cancel, store := tab(t)
	p := &page{t: t, ctx: ctx, site: s, store: store, asked: map[network.RequestID]string{}}
	t.Cleanup(func() {
		p.check()
		cancel()
		_ = chromedp.Run(chromium, chromedp.ActionFunc(func(ctx context.Context) error {
			return target.DisposeBrowserContext(store).Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		}))
	})
	chromedp.ListenTarget(ctx, p.hear)
	if len(size) == 0 {
		size = []int64{1280, 800}
	}
	p.dark(false)
	p.run(network.Enable(), log.Enable(), runtime.Enable(), chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate(address))
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	return p
}

// tab makes a window with a storage of its own.
func tab(t *testing.T) (context.Context, context.CancelFunc, cdp.BrowserContextID) {
	t.Helper()
	var id target.ID
	var store cdp.BrowserContextID
	err := chromedp.Run(chromium, chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		var err error
		store, err = target.CreateBrowserContext().Do(ctx)
		if err == nil {
			id, err = target.CreateTarget("about:blank").WithBrowserContextID(store).WithNewWindow(true).Do(ctx)
		}
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithTargetID(id))
	return ctx, cancel, store
}

func (p *page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked[e.RequestID] = e.Request.URL
	case *network.EventLoadingFailed:
		if e.BlockedReason == network.BlockedReasonCsp {
			delete(p.asked, e.RequestID) // it never left the browser
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		p.faults = append(p.faults, text)
	case *log.EventEntryAdded:
		if e.Entry.Source != log.SourceNetwork && e.Entry.Level == log.LevelError {
			p.faults = append(p.faults, e.Entry.Text)
		}
	}
}

// check is part of every test: no exception, nothing that the policy had to block,
// and no request that left the server.
func (p *page) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		expected := false
		for _, a := range p.allowed {
			expected = expected || strings.Contains(f, a)
		}
		if !expected {
			p.t.Errorf("the page: %s", f)
		}
	}
	for _, address := range p.asked {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Host != p.site.addr {
			p.t.Errorf("a request left the server: %s", address)
		}
	}
}

// run runs actions, and ends the test where they fail.
func (p *page) run(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// The first run of a context makes the tab, which must not end with this call.
	if err := chromedp.Run(p.ctx); err != nil {
		p.t.Fatal(err)
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams {
	return p.WithAwaitPromise(true).WithUserGesture(true)
}

// eval evaluates an expression, which may be a promise.
func (p *page) eval(expression string) any {
	p.t.Helper()
	var text string
	p.run(chromedp.Evaluate(`(async () => JSON.stringify((await (`+expression+`)) ?? null))()`, &text, awaited))
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		p.t.Fatalf("%s: %v in %q", expression, err, text)
	}
	return v
}

// text evaluates an expression to a text.
func (p *page) text(expression string) string {
	p.t.Helper()
	s, _ := p.eval(expression).(string)
	return s
}

// wait waits until an expression is true.
func (p *page) wait(expression string) {
	p.t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		// What it looks into may not be there yet.
		if p.eval(`(() => { try { return Boolean(`+expression+`); } catch { return false; } })()`) == true {
			return
		}
		if time.Since(start) > patience {
			p.t.Fatalf("it never came to be: %s\nbox %q\nnotice: %s\n%s", expression, p.eval(`document.getElementById("text").value`), p.text(`document.getElementById("notice").innerText`), p.text(`document.getElementById("turns").innerText`))
		}
	}
}

// is compares what an expression gives.
func (p *page) is(expression string, want any) {
	p.t.Helper()
	if got := p.eval(expression); fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("%s is %q, want %q", expression, fmt.Sprint(got), fmt.Sprint(want))
	}
}

// click clicks the first visible element of a selector.
func (p *page) click(selector string) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelector(%q)?.getClientRects().length`, selector))
	p.eval(fmt.Sprintf(`void document.querySelector(%q).scrollIntoView({block: "nearest"})`, selector))
	p.run(chromedp.Click(selector, chromedp.ByQuery))
}

// button clicks the button with a text or a label, the last of them.
func (p *page) button(name string) {
	p.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll("button")].filter((b) => b.getClientRects().length && (b.textContent.trim() === %q || b.getAttribute("aria-label") === %q)).at(-1)`, name, name)
	p.wait(find)
	p.eval(`(() => { const b = ` + find + `; b.focus(); b.click(); })()`)
}

// write puts text into the box as typing does.
func (p *page) write(selector, text string) {
	p.t.Helper()
	p.run(chromedp.Focus(selector, chromedp.ByQuery))
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert(text).Do(ctx) }))
}

// press presses a key in whatever has the focus, as a keyboard does: a page that
// prevents the key's default gets no character.
func (p *page) press(key string, modifiers ...input.Modifier) {
	p.t.Helper()
	down := input.DispatchKeyEvent(input.KeyDown).WithKey(key).WithCode(key)
	if code, ok := codes[key]; ok {
		down = down.WithWindowsVirtualKeyCode(code)
	}
	if key == "Enter" {
		down = down.WithText("\r")
	}
	if len(key) == 1 {
		down = down.WithCode("Key" + strings.ToUpper(key)).WithWindowsVirtualKeyCode(int64(strings.ToUpper(key)[0])).WithText(key)
	}
	for _, m := range modifiers {
		down = down.WithModifiers(down.Modifiers | m)
		if m == input.ModifierCtrl {
			down = down.WithText("")
		}
	}
	up := *down
	up.Type, up.Text = input.KeyUp, ""
	p.run(down, &up)
}

var codes = map[string]int64{"Enter": 13, "Escape": 27, "Tab": 9, "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, " ": 32}

// send sends a message, without waiting for the answer.
func (p *page) send(text string) {
	p.t.Helper()
	p.write("#text", text)
	p.press("Enter")
	// A message that cannot be sent may be back in the box already.
	p.wait(`document.getElementById("text").value === "" || !document.getElementById("notice").hidden`)
}

const idle = `document.getElementById("send").textContent === "Send" && ![...document.querySelectorAll(".turn")].some((t) => t.getAttribute("aria-busy") === "true")`

// ask sends a message and waits until the answer is there and shown.
func (p *page) ask(text string) {
	p.t.Helper()
	before := p.eval(`document.querySelectorAll(".turn.assistant").length`).(float64)
	p.send(text)
	p.wait(fmt.Sprintf(`document.querySelectorAll(".turn.assistant").length > %v && `+idle, before))
	p.settle()
}

// settle waits until everything that is known is shown and saved.
func (p *page) settle() {
	p.t.Helper()
	p.wait(idle)
	p.eval(`import("./js/turns.js").then((m) => m.settled()).then(() => import("./js/state.js")).then((m) => m.saved()).then(() => null)`)
}

const answer = `document.querySelector(".turn.assistant:last-of-type .said")`

// said is the text of the last answer.
func (p *page) said() string {
	p.t.Helper()
	return p.text(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText`)
}

// hover moves the mouse over an element.
func hover(selector string) func(context.Context) error {
	return func(ctx context.Context) error {
		var at []float64
		if err := chromedp.Evaluate(fmt.Sprintf(`(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`, selector), &at).Do(ctx); err != nil {
			return err
		}
		if err := input.DispatchMouseEvent(input.MouseMoved, at[0]-1, at[1]).Do(ctx); err != nil {
			return err
		}
		return input.DispatchMouseEvent(input.MouseMoved, at[0], at[1]).Do(ctx)
	}
}

// dark has the system prefer dark or light colours.
func (p *page) dark(on bool) {
	p.t.Helper()
	value := "light"
	if on {
		value = "dark"
	}
	p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}
