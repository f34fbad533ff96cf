package browser

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

func TestConversations(t *testing.T) {
	s := serve(t)
	s.on("About rivers", "Rivers carry **water**.")
	s.on("About hills", "Hills are high.")
	p := open(t, s)
	p.is(`document.getElementById("list-empty").textContent`, "Conversations stay in this browser.")
	p.ask("About rivers")
	p.button("+ New chat")
	p.wait(`document.querySelectorAll(".turn").length === 0`)
	p.is(`document.activeElement.id`, "text")
	p.ask("About hills")
	p.wait(`[...document.querySelectorAll("#list .open")].map((b) => b.textContent).join() === "About hills,About rivers"`)
	p.is(`document.querySelector('#list [aria-current="true"] .open').textContent`, "About hills")
	// The search finds words of titles and of messages.
	p.write("#search", "WATER rivers")
	p.wait(`document.querySelectorAll("#list .open").length === 1`)
	p.is(`document.querySelector("#list .open").textContent`, "About rivers")
	p.click("#list .open")
	p.wait(`document.querySelector(".said strong")?.textContent === "water"`)
	p.set("search", "nothing like it")
	p.wait(`!document.getElementById("list-empty").hidden && document.getElementById("list-empty").textContent === "Nothing found."`)
	p.set("search", "")
	p.wait(`document.querySelectorAll("#list .open").length === 2`)
	// Rename.
	p.button("Rename About rivers")
	p.wait(`document.getElementById("ask-name").open`)
	p.is(`document.getElementById("name").value`, "About rivers")
	p.write("#name", "Water") // it was selected
	p.press("Enter")
	p.wait(`[...document.querySelectorAll("#list .open")].map((b) => b.textContent).join() === "About hills,Water"`)
	p.is(`document.getElementById("title").textContent`, "Water")
	// All of it outlives the page.
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined && document.querySelector(".said strong")`)
	p.is(`document.getElementById("title").textContent`, "Water")
	// Delete asks first.
	p.button("Delete Water")
	p.wait(`document.getElementById("confirm").open`)
	p.button("Cancel")
	p.is(`document.querySelectorAll("#list .open").length`, 2)
	p.button("Delete Water")
	p.button("Delete")
	p.wait(`document.querySelectorAll("#list .open").length === 1 && document.querySelectorAll(".turn").length === 0`)
}

func TestExportImport(t *testing.T) {
	s := serve(t)
	s.on("Hello", "Hi **you**.")
	p := open(t, s)
	p.set("system", "Be brief.")
	p.ask("Hello")
	p.click(`.turn.assistant [data-act="again"]`)
	p.settle()
	dir := t.TempDir()
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		return browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir).WithBrowserContextID(p.store).Do(ctx)
	}))
	p.button("Export")
	var file string
	for start := time.Now(); file == ""; time.Sleep(20 * time.Millisecond) {
		if all, _ := filepath.Glob(filepath.Join(dir, "penstock-*.json")); len(all) == 1 {
			file = all[0]
		}
		if time.Since(start) > patience {
			t.Fatal("nothing was downloaded")
		}
	}
	q := open(t, s) // another browser
	q.run(chromedp.SetUploadFiles("#import-file", []string{file}, chromedp.ByQuery))
	q.wait(`document.querySelector(".said strong")?.textContent === "you"`)
	q.is(`document.querySelector(".turn.assistant .branches").innerText.replace(/\s/g, "")`, "‹2/2›")
	q.is(`document.getElementById("system").value`, "Be brief.")
	q.ask("More")
	if prompt := s.prompt(); !strings.Contains(prompt, "Be brief.") || !strings.Contains(prompt, "Hi **you**.") {
		t.Errorf("the prompt is %q", prompt)
	}
	// A second import is a second copy, and what is no export says what it is.
	q.run(chromedp.SetUploadFiles("#import-file", []string{file}, chromedp.ByQuery))
	q.wait(`document.querySelectorAll("#list .open").length === 2`)
	for text, want := range map[string]string{
		`{"a":1}`: "no conversations of this page", `[`: "not JSON",
		`{"penstock":"conversations","version":2,"conversations":[]}`:                                                                 "newer version",
		`{"penstock":"conversations","version":1,"conversations":[{}]}`:                                                               "has no messages",
		`{"penstock":"conversations","version":1,"conversations":[{"nodes":[{"id":"a","parent":"a","role":"user"}]}]}`:                "out of place",
		`{"penstock":"conversations","version":1,"conversations":[{"nodes":[{"id":"a","parent":null,"role":"system","content":1}]}]}`: "has the role",
	} {
		bad := filepath.Join(dir, "bad.json")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		q.eval(`void (document.getElementById("toast").textContent = "")`)
		q.run(chromedp.SetUploadFiles("#import-file", []string{bad}, chromedp.ByQuery))
		q.wait(`document.getElementById("toast").textContent`)
		if got := q.text(`document.getElementById("toast").textContent`); !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
	q.is(`document.querySelectorAll("#list .open").length`, 2)
}

// The key is asked for where it is needed, and stays in the browser only if that is
// wanted.
func TestKey(t *testing.T) {
	s := serve(t, withKey("secret"))
	s.on("Hello", "Hi.")
	p := open(t, s)
	p.is(`document.querySelector("#model option").textContent`, "needs an API key")
	p.send("Hello")
	p.wait(`document.querySelector("#notice span")?.textContent === "The server wants an API key."`)
	p.button("Enter the key")
	p.is(`document.activeElement.id`, "key")
	p.set("key", "secret")
	p.wait(`document.getElementById("model").value === "tiny"`)
	p.press("Escape")
	p.run(chromedp.Focus("#text", chromedp.ByQuery))
	p.press("Enter")
	p.wait(`document.querySelector(".turn.assistant .said")?.innerText === "Hi."`)
	p.settle()
	p.is(`Object.values(localStorage).concat(Object.values(sessionStorage)).some((v) => v.includes("secret"))`, false)
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	p.is(`document.getElementById("key").value`, "")
	p.set("key", "secret")
	p.set("keep-key", "true")
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined && document.getElementById("model").value === "tiny"`)
	p.set("keep-key", "false")
	p.is(`localStorage.getItem("penstock.key")`, nil)
}
