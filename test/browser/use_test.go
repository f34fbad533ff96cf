package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func TestKeyboard(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.is(`document.activeElement.id`, "text")
	p.write("#text", "line one")
	p.press("Enter", input.ModifierShift)
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert("line two").Do(ctx) }))
	p.press("Enter")
	p.wait(`document.querySelector(".turn.user .said")?.textContent === "line one\nline two"`)
	p.settle()
	p.press("k", input.ModifierCtrl)
	p.is(`document.activeElement.id`, "search")
	p.press(",", input.ModifierCtrl)
	p.is(`document.getElementById("settings").hidden`, false)
	p.press("Escape")
	p.is(`document.getElementById("settings").hidden`, true)
	p.press("O", input.ModifierCtrl, input.ModifierShift)
	p.is(`document.querySelectorAll(".turn").length + document.activeElement.id`, "0text")
	// Every control can be reached and shows that it has the focus.
	p.eval(`void document.activeElement.blur()`)
	seen := map[string]bool{}
	for range 40 {
		p.press("Tab")
		name := p.text(`(() => { const e = document.activeElement; return e === document.body ? "" : e.id || e.getAttribute("aria-label") || e.textContent; })()`)
		if name == "" {
			continue
		}
		if seen[name] {
			break
		}
		seen[name] = true
		p.is(`(() => { const e = document.activeElement, s = getComputedStyle(e); return e.id === "text" || s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1; })()`, true)
	}
	for _, want := range []string{"new", "search", "export-all", "import", "help-open", "model", "tab-live", "settings-open", "log", "attach", "text", "send"} {
		if !seen[want] {
			t.Errorf("no Tab leads to %s: %v", want, seen)
		}
	}
	p.click("#help-open")
	p.is(`document.getElementById("help").open`, true)
	p.press("Escape")
	p.is(`document.getElementById("help").open`, false)
}

// While a character is being composed, Enter belongs to the input method.
func TestComposition(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.run(chromedp.Focus("#text", chromedp.ByQuery), chromedp.ActionFunc(func(ctx context.Context) error { return input.ImeSetComposition("にほん", 3, 3).Do(ctx) }))
	p.is(`document.getElementById("text").value`, "にほん")
	enter := `document.getElementById("text").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, `
	p.is(enter+`isComposing: true }))`, true) // nobody has prevented it
	p.is(`(() => { const e = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, keyCode: 229 }); return document.getElementById("text").dispatchEvent(e); })()`, true)
	p.is(`document.querySelectorAll(".turn").length + document.getElementById("text").value`, "0にほん")
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert("日本").Do(ctx) }))
	p.press("Enter")
	p.wait(`document.querySelector(".turn.user .said")?.textContent === "日本"`)
	p.settle()
	p.is(`document.querySelector(".turn.assistant .said").innerText`, "You said: 日本")
}

func TestRightToLeft(t *testing.T) {
	s := serve(t)
	s.on("שלום", "# כותרת\n\nזה משפט בעברית עם `code` בתוכו.\n\nAn English paragraph.\n\n- פריט\n\n| טור | b |\n|---|---|\n| א | c |\n\n```go\nx := 1\n```")
	p := open(t, s)
	p.ask("שלום")
	direction := func(selector, want string) {
		t.Helper()
		p.is(`getComputedStyle(document.querySelector("`+selector+`")).direction`, want)
	}
	direction(".turn.user .said", "rtl")
	direction(".turn.assistant h3", "rtl")
	direction(".turn.assistant .block:nth-of-type(2) p", "rtl")
	direction(".turn.assistant .block:nth-of-type(3) p", "ltr")
	direction(".turn.assistant li", "rtl")
	direction(".turn.assistant td", "rtl")
	direction(".turn.assistant .code pre", "ltr")
	p.write("#text", "مرحبا")
	direction("#text", "rtl")
	// The whole page from right to left: nothing sticks out.
	p.eval(`void (document.documentElement.dir = "rtl")`)
	p.is(`document.documentElement.scrollWidth <= innerWidth`, true)
	p.is(`document.getElementById("side").getBoundingClientRect().right === innerWidth`, true)
}

func TestTheme(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	shade := `(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number); return r + g + b > 384 ? "light" : "dark"; })()`
	p.dark(false)
	p.is(shade, "light")
	p.dark(true)
	p.is(shade, "dark")
	p.set("theme", "light")
	p.is(shade, "light")
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	p.is(shade, "light")
	p.set("theme", "dark")
	p.dark(false)
	p.is(shade, "dark")
	p.set("theme", "")
	p.is(shade, "light")
}

// On a phone the list is a drawer, the settings fill the screen, and nothing is wider
// than it.
func TestPhone(t *testing.T) {
	s := serve(t)
	s.on("Wide", "```go\n"+strings.Repeat("x", 300)+"\n```\n\n| "+strings.Repeat("column | ", 20)+"\n|"+strings.Repeat("---|", 20)+"\n\n"+strings.Repeat("y", 200))
	p := open(t, s, 360, 640)
	p.ask("Wide")
	fits := `document.documentElement.scrollWidth <= innerWidth && document.getElementById("log").scrollWidth <= document.getElementById("log").clientWidth`
	p.is(fits, true)
	p.is(`getComputedStyle(document.getElementById("side")).visibility`, "hidden")
	p.click("#side-open")
	p.wait(`getComputedStyle(document.getElementById("side")).visibility === "visible"`)
	p.is(`document.activeElement.id`, "side-close")
	p.press("Escape")
	p.wait(`getComputedStyle(document.getElementById("side")).visibility === "hidden"`)
	p.is(`document.activeElement.id`, "side-open")
	p.click("#side-open")
	p.click("#list .open")
	p.wait(`!document.body.classList.contains("side")`)
	p.click("#settings-open")
	p.is(`document.getElementById("settings").getBoundingClientRect().width`, 360)
	p.click("#settings-close")
	p.click("#tab-live")
	p.wait(`document.querySelectorAll(".tile").length === 8`)
	p.is(`document.documentElement.scrollWidth <= innerWidth && document.getElementById("live").scrollWidth <= document.getElementById("live").clientWidth`, true)
	// Nothing that one touches is too small for a finger.
	p.click("#tab-chat")
	p.is(`[...document.querySelectorAll("#top button, #top a, #top select, #send, #attach")].filter((e) => e.getClientRects().length).every((e) => e.getBoundingClientRect().height >= 32 && e.getBoundingClientRect().width >= 32)`, true)
}

// The view follows an answer, unless one has scrolled up to read.
func TestFollow(t *testing.T) {
	s := serve(t)
	s.delay.Store(1e6)
	s.on("Long", strings.Repeat("A line.\n\n", 60))
	p := open(t, s)
	p.ask("Long")
	p.wait(`(() => { const l = document.getElementById("log"); return l.scrollHeight > l.clientHeight && l.scrollHeight - l.scrollTop - l.clientHeight < 4; })()`)
	p.send("Long")
	p.wait(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText.length > 40`)
	p.eval(`void (document.getElementById("log").scrollTop = 100)`)
	p.settle()
	p.is(`document.getElementById("log").scrollTop`, 100)
}
