package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func insert(text string) *input.InsertTextParams { return input.InsertText(text) }

const markdown = "# Title\n\nHello **world**, this is `code` and $a_1 b_2$.\n\n```go\nfunc main() {\n\tprintln(1 < 2)\n}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n1. one\n2. two\n\nThe end."

func TestMarkdown(t *testing.T) {
	s := serve(t)
	s.on("Hello", markdown)
	p := open(t, s)
	p.ask("Hello")
	p.is(`document.querySelector(".turn.user .said").textContent`, "Hello")
	p.is(`document.querySelector(".said h3").textContent`, "Title")
	p.is(`document.querySelector(".said strong").textContent`, "world")
	p.is(`document.querySelector(".said code.math").textContent`, "$a_1 b_2$")
	p.is(`document.querySelector(".said .code .keyword").textContent`, "func")
	p.is(`document.querySelectorAll(".said td").length`, 2)
	p.is(`document.querySelectorAll(".said li").length`, 2)
	p.is(`document.title`, "Hello · Penstock")
	p.eval(`void (navigator.clipboard.writeText = async (text) => { window.copied = text; })`)
	p.click(".code button.copy")
	p.wait(`window.copied`)
	p.is(`window.copied`, "func main() {\n\tprintln(1 < 2)\n}\n")
	p.click(`.turn.assistant [data-act="copy"]`)
	p.wait(`window.copied.startsWith("# Title")`)
	p.is(`window.copied`, markdown)
	// On a page without a clipboard API, the older way.
	p.eval(`void (navigator.clipboard.writeText = () => Promise.reject(new Error("not allowed")), document.addEventListener("copy", () => { window.old = String(document.activeElement.value); }))`)
	p.click(".code button.copy")
	p.wait(`window.old === "func main() {\n\tprintln(1 < 2)\n}\n".replaceAll("X", "")`)
}

// An answer grows: what is there stays the same elements, and a selection in it
// survives.
func TestSelectionSurvives(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(4 * time.Millisecond))
	s.on("Long", strings.Repeat("A first *paragraph* with words.\n\n", 3)+"- item one\n- item two\n"+strings.Repeat("- another item\n", 20)+"\nThe end.")
	p := open(t, s)
	p.send("Long")
	p.wait(`document.querySelectorAll(".said li").length > 2`)
	p.eval(`(() => {
		window.first = document.querySelector(".turn.assistant .said p");
		window.item = document.querySelector(".said li");
		window.blocks = [...document.querySelectorAll(".turn.assistant .said .block")];
		window.removed = 0;
		new MutationObserver((all) => { for (const m of all) window.removed += m.removedNodes.length; }).observe(document.querySelector(".turn.assistant .said"), { childList: true, subtree: true });
		getSelection().setBaseAndExtent(first.firstChild, 2, item.firstChild, 4);
		window.selected = String(getSelection());
	})()`)
	p.settle()
	p.wait(`document.querySelector(".turn.assistant .said").innerText.includes("The end.")`)
	p.is(`String(getSelection()) === window.selected && window.selected.length > 10`, true)
	p.is(`document.querySelector(".turn.assistant .said p") === window.first && document.querySelector(".said li") === window.item`, true)
	p.is(`window.blocks.every((b, i) => document.querySelectorAll(".turn.assistant .said .block")[i] === b)`, true)
	p.is(`window.removed`, 0)
}

// A screen reader hears each sentence of an answer, and each once.
func TestHeardOnce(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(3 * time.Millisecond))
	s.on("Speak", "One is the first sentence. Two has **bold words** in it. Three ends the paragraph.\n\nFour stands alone.\n\n- Five is an item.\n- Six is another.\n\n```go\nx := 1\ny := 2\n```\n\nSeven comes after code. Eight ends it.")
	p := open(t, s)
	p.eval(`void (window.heard = [], new MutationObserver((all) => { for (const m of all) for (const n of m.addedNodes) heard.push(n.textContent); }).observe(document.getElementById("announcer"), { childList: true }))`)
	p.ask("Speak")
	p.wait(`heard.join(" ").includes("Eight")`)
	heard := p.text(`heard.join(" ")`)
	for _, word := range []string{"One is", "Two has bold words in it.", "Three", "Four", "Five", "Six", "Code in go, 2 lines.", "Seven", "Eight"} {
		if n := strings.Count(heard, word); n != 1 {
			t.Errorf("%q is heard %d times in %q", word, n, heard)
		}
	}
	if parts := p.eval(`heard.length`).(float64); parts < 5 {
		t.Errorf("heard in %v parts only: %q", parts, heard)
	}
	p.is(`document.querySelectorAll("#turns [aria-live]").length`, 0)
}

func TestStop(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(5 * time.Millisecond))
	s.on("Count", "one two three "+strings.Repeat("and on ", 300))
	p := open(t, s)
	p.send("Count")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText.includes("three")`)
	p.is(`document.getElementById("send").textContent`, "Stop")
	p.press("Escape")
	p.settle()
	p.is(`document.querySelector(".ended span").textContent`, "Stopped.")
	half := p.said()
	if !strings.HasPrefix(half, "one two three") || len(half) > 2000 {
		t.Errorf("stopped at %q", half)
	}
	for start := time.Now(); s.engine.Stats().Running > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatal("the engine goes on")
		}
	}
	s.delay.Store(0)
	p.button("Continue")
	p.wait(`document.querySelector(".turn.assistant .said").innerText.length > 2000`)
	p.settle()
	p.is(`document.querySelectorAll(".turn.assistant").length`, 1)
	if whole := p.said(); strings.TrimSpace(whole) != strings.TrimSpace("one two three "+strings.Repeat("and on ", 300)) {
		t.Errorf("continued to %q", whole)
	}
	if b := s.body(); !strings.Contains(b, `"continue_final_message":true`) {
		t.Errorf("asked with %s", b)
	}
	s.delay.Store(int64(5 * time.Millisecond))
	p.send("Count")
	p.wait(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText.includes("one")`)
	p.click("#send") // the same button stops
	p.settle()
	p.is(`[...document.querySelectorAll(".ended span")].at(-1).textContent`, "Stopped.")
}

// What is cut says by what, and offers what to do.
func TestCut(t *testing.T) {
	s := serve(t)
	s.on("Story", "abcdefghijklmnopqrstuvwxyz")
	p := open(t, s)
	p.set("max_tokens", "10")
	p.ask("Story")
	p.is(`document.querySelector(".turn.assistant .said").innerText`, "abcdefghij")
	p.is(`document.querySelector(".ended span").textContent`, "Cut at the limit of 10 tokens.")
	p.button("Continue")
	p.wait(`document.querySelector(".turn.assistant .said").innerText === "abcdefghijklmnopqrst"`)
	p.settle()
	p.button("Change the limit")
	p.is(`document.activeElement.id`, "max_tokens")
	p.set("max_tokens", "")
	p.button("Continue")
	p.wait(`document.querySelector(".turn.assistant .said").innerText.endsWith("xyz") && !document.querySelector(".ended:not(:empty)")`)
	p.settle()
	p.is(`document.querySelectorAll(".turn.assistant").length`, 1)
}

func TestContextFull(t *testing.T) {
	s := serve(t, withContext(200))
	s.on("Story", strings.Repeat("word ", 200))
	p := open(t, s)
	p.ask("Story")
	p.wait(`document.querySelector(".ended span")?.textContent.startsWith("The context of the model is full")`)
	next := "Next" + strings.Repeat(" xq", 30)
	s.on(next, "short")
	p.send(next)
	p.wait(`!document.getElementById("notice").hidden`)
	p.is(`document.querySelector("#notice span").textContent.startsWith("The conversation is too long for the model: ")`, true)
	p.is(`document.getElementById("text").value`, next) // the message has come back
	p.button("Send it in a new chat")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText === "short"`)
	p.settle()
	p.is(`document.querySelectorAll("#list .open").length`, 2)
	p.click(`#list li:nth-of-type(3) .open`)
	p.wait(`document.querySelector(".ended span")`)
	p.button("Go on in a new chat with the last exchange")
	p.wait(`document.querySelectorAll("#list .open").length === 3`)
	p.is(`document.querySelectorAll(".turn").length`, 2)
}

// An error gives the message back, and one click sends it again.
func TestRetry(t *testing.T) {
	s := serve(t)
	s.on("Hello", "Hi there.")
	p := open(t, s)
	s.kill()
	p.send("Hello")
	p.wait(`!document.getElementById("notice").hidden`)
	p.is(`document.querySelector("#notice span").textContent`, "The server cannot be reached.")
	p.is(`document.getElementById("text").value`, "Hello")
	p.is(`document.querySelectorAll(".turn").length`, 0)
	p.is(`document.querySelectorAll("#list .open").length`, 0)
	s.listen(t, s.addr)
	p.button("Retry")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText === "Hi there."`)
	p.settle()
	p.is(`document.getElementById("text").value`, "")
	p.is(`document.getElementById("notice").hidden`, true)
	// The same with what the server refuses.
	p.set("top_p", "7")
	p.send("Hello")
	p.wait(`!document.getElementById("notice").hidden`)
	p.is(`document.querySelector("#notice span").textContent.includes("top_p")`, true)
	p.is(`document.getElementById("text").value`, "Hello")
	p.is(`document.querySelectorAll(".turn").length`, 2)
}

// The server dies in the middle of an answer: what came stays, and goes on when
// the server is back.
func TestKilledInMidAnswer(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(20 * time.Millisecond))
	// The rest takes a minute, so that the server does not end it before it is killed.
	rest := strings.Repeat(" and on", 400)
	s.on("Tell", "# Half\n\nThe first part. Then **the second part** comes and the rest follows after it"+rest+" at length.")
	p := open(t, s)
	p.send("Tell")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText.includes("second")`)
	s.kill()
	p.settle()
	p.wait(`document.querySelector(".ended span")?.textContent === "The connection to the server was lost."`)
	if got := p.said(); !strings.Contains(got, "The first part.") {
		t.Errorf("left is %q", got)
	}
	s.listen(t, s.addr)
	p.run(chromedp.Navigate(s.url))
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	p.click("#list .open")
	p.wait(`document.querySelector(".ended span")?.textContent === "The connection to the server was lost."`)
	s.delay.Store(0)
	p.button("Continue")
	p.wait(`document.querySelector(".turn.assistant .said").innerText.includes("at length.")`)
	p.settle()
	p.is(`document.querySelector(".said strong").textContent`, "the second part")
	p.is(`document.querySelectorAll(".said h3").length`, 1)
	p.is(`document.querySelectorAll(".ended:not(:empty)").length`, 0)
}

// A page that is closed in the middle of an answer has it when it is opened again.
func TestClosedInMidAnswer(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(10 * time.Millisecond))
	s.on("Tell", strings.Repeat("word ", 400))
	p := open(t, s)
	p.send("Tell")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText.length > 800`)
	p.run(chromedp.Navigate(s.url))
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	p.click("#list .open")
	p.wait(`document.querySelector(".ended span")?.textContent === "The page was closed before the answer ended."`)
	p.wait(`document.querySelector(".turn.assistant .said").innerText.startsWith("word word")`)
}

// Editing a message or asking again makes a version beside it, and one goes to and
// fro between them.
func TestVersions(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.ask("one")
	p.ask("two")
	p.click(`.turn.user [data-act="edit"]`)
	p.wait(`document.activeElement.className === "editor"`)
	p.eval(`document.activeElement.select()`)
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert("three").Do(ctx) }))
	p.press("Enter", input.ModifierCtrl)
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText === "You said: three"`)
	p.settle()
	p.is(`document.querySelectorAll(".turn").length`, 2)
	p.is(`document.querySelector(".turn.user .branches").innerText.replace(/\s/g, "")`, "‹2/2›")
	p.click(`.turn.user [data-act="back"]`)
	p.wait(`document.querySelectorAll(".turn").length === 4`)
	p.is(`[...document.querySelectorAll(".turn.user .said")].map((e) => e.textContent).join()`, "one,two")
	s.on("two", "another answer")
	p.click(`.turn:nth-child(4) [data-act="again"]`)
	p.wait(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText === "another answer"`)
	p.settle()
	p.is(`document.querySelector(".turn:nth-child(4) .branches").innerText.replace(/\s/g, "")`, "‹2/2›")
	p.click(`.turn:nth-child(4) [data-act="back"]`)
	p.wait(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText === "You said: two"`)
	// An answer can be edited, too; the model then sees what it became.
	p.click(`.turn:nth-child(2) [data-act="edit"]`)
	p.eval(`document.activeElement.select()`)
	p.run(chromedp.ActionFunc(func(ctx context.Context) error { return insert("rewritten").Do(ctx) }))
	p.button("Save")
	p.wait(`document.querySelectorAll(".turn").length === 2`)
	p.ask("four")
	if prompt := s.prompt(); !strings.Contains(prompt, "rewritten") || strings.Contains(prompt, "You said: one") {
		t.Errorf("the prompt is %q", prompt)
	}
	// A branch is a conversation of its own.
	p.click(`.turn:nth-child(2) [data-act="branch"]`)
	p.wait(`document.querySelectorAll("#list .open").length === 2 && document.querySelectorAll(".turn").length === 2`)
	p.ask("five")
	p.is(`document.querySelectorAll(".turn").length`, 4)
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined && document.querySelectorAll(".turn").length === 4`)
	// In an empty box, the upper arrow edits the last message.
	p.run(chromedp.Focus("#text", chromedp.ByQuery))
	p.press("ArrowUp")
	p.wait(`document.activeElement.className === "editor" && document.activeElement.value === "five"`)
	p.press("Escape")
	p.wait(`!document.querySelector(".editor")`)
}

// set fills in a setting.
func (p *page) set(name, value string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`(() => { const f = document.getElementById(%q); if (f.type === "checkbox") f.checked = %q === "true"; else f.value = %q; f.dispatchEvent(new Event("input", { bubbles: true })); f.dispatchEvent(new Event("change", { bubbles: true })); })()`, name, value, value))
}
