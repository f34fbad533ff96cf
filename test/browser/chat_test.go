package browser

import (
	"testing"

	"github.com/chromedp/cdproto/input"
)

func insert(text string) *input.InsertTextParams { return input.InsertText(text) }

func TestAsk(t *testing.T) {
	s := serve(t)
	s.on("Hello", "# Title\n\nHello **world**, this is `code`.\n\n```go\nfunc main() {}\n```\n")
	p := open(t, s)
	p.ask("Hello")
	p.is(`document.querySelector(".turn.assistant h3").textContent`, "Title")
	p.is(`document.querySelector(".turn.assistant strong").textContent`, "world")
	p.is(`document.querySelector(".turn.assistant .code .keyword").textContent`, "func")
	p.shot("/tmp/shot.png")
}
