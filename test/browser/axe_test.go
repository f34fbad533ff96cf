package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// axe is the script of axe-core, which `make browser` fetches.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv("AXE")
	if path == "" {
		path = "../../bin/browser/package/axe.min.js"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("axe-core is missing, `make browser` fetches it: %v", err)
	}
	return string(text)
}

// audited runs all rules of axe-core, its best practices among them.
func (p *page) audited(script, what string) {
	p.t.Helper()
	p.run(chromedp.Evaluate("void ("+script+"\n)", nil))
	found := p.eval(`axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" + v.nodes.map((n) => "  " + n.html + " " + (n.any[0]?.message || n.failureSummary)).join("\n")))`)
	for _, v := range found.([]any) {
		p.t.Errorf("%s: %s", what, v)
	}
}

// axe-core finds nothing: on a desktop and a phone, in light and dark, in each state
// of the page.
func TestAxe(t *testing.T) {
	script := strings.TrimSpace(axe(t))
	script = "(() => {" + script + "})()"
	for _, size := range [][]int64{{1280, 800}, {390, 780}} {
		for _, dark := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d dark %t", size[0], dark), func(t *testing.T) {
				s := serve(t)
				s.on("Hello", markdown+"\n\n> a quote\n\n- [x] done\n\n<b>markup</b> [link](https://example.org)\n\n```python\n# comment\nclass A(B):\n    x: int = 1\n    def f(self):\n        return \"s\" + str(2)\n```\n\n```diff\n-a\n+b\n```")
				s.on("Weather?", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>")
				p := open(t, s, size...)
				p.dark(dark)
				p.audited(script, "empty")
				p.ask("Hello")
				p.audited(script, "an answer")
				p.set("probabilities", "true")
				p.click(`.turn.assistant [data-act="again"]`)
				p.wait(`document.querySelector(".turn.assistant").innerText.includes("2/2")`) // it has begun
				p.settle()
				p.click(`.turn.assistant [data-act="tokens"]`)
				p.click(".tok")
				p.audited(script, "tokens")
				p.press("Escape")
				p.click(`.turn.assistant [data-act="request"]`)
				p.audited(script, "the request")
				p.press("Escape")
				p.click(`.turn.user [data-act="edit"]`)
				p.audited(script, "editing")
				p.press("Escape")
				p.click("#settings-open")
				p.set("schema", "{")
				p.audited(script, "settings")
				p.set("schema", "")
				p.set("tools", `[{"name": "weather"}]`)
				p.press("Escape")
				p.ask("Weather?")
				p.wait(`document.querySelector(".call textarea")`)
				p.set("tools", "")
				p.audited(script, "a call")
				p.set("max_tokens", "3")
				p.eval(`void document.getElementById("new").click()`)
				p.ask("cut")
				p.set("top_p", "9")
				p.send("wrong")
				p.wait(`!document.getElementById("notice").hidden`)
				p.audited(script, "errors")
				p.set("top_p", "")
				p.set("max_tokens", "")
				if size[0] < 800 {
					p.click("#side-open")
					p.audited(script, "the drawer")
					p.press("Escape")
				}
				p.click("#tab-live")
				s.delay.Store(int64(15 * time.Millisecond))
				stop := s.load(t, 10)
				p.wait(`document.querySelectorAll("#falls .what").length >= 2 && document.querySelectorAll("#sequences tbody tr").length > 4`)
				p.audited(script, "live")
				stop()
			})
		}
	}
}
