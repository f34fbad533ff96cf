package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// hostile are texts that try to become markup.
func hostile(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../internal/server/ui/markdown/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, one := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		all = append(all, strings.ReplaceAll(one, `\n`, "\n"))
	}
	if len(all) < 40 {
		t.Fatalf("%d texts only", len(all))
	}
	return all
}

// armed has every way in which a hostile text could show that it runs set a mark.
const armed = `
	window.hit = [];
	window.alert = window.confirm = window.prompt = window.print = (x) => hit.push("called " + x);
	for (const name of ["error", "load", "toggle", "focus", "begin"]) document.addEventListener(name, (e) => { if (e.target instanceof HTMLElement && e.target.getAttribute("on" + name)) hit.push("on" + name); }, true);
	true`

// clean finds what may not be in the page: elements that it never makes, listeners in
// attributes, addresses that run or load something.
const clean = `(() => {
	const bad = [...hit];
	for (const e of document.querySelectorAll("#side *, #main *, dialog *, #announcer *")) {
		if (["SCRIPT", "IFRAME", "OBJECT", "EMBED", "STYLE", "LINK", "META", "BASE", "VIDEO", "AUDIO", "MATH", "TEMPLATE"].includes(e.tagName.toUpperCase())) bad.push(e.outerHTML);
		if (e.tagName === "IMG" && !e.src.endsWith("/ui/icon.svg") || e.tagName === "FORM" && e.getAttribute("action")) bad.push(e.outerHTML);
		for (const a of e.attributes) if (/^on/i.test(a.name) || a.name === "srcdoc") bad.push(e.outerHTML);
		if (e.tagName === "A" && e.getAttribute("href") && !/^(https?:|mailto:|#(chat|live)$)/.test(e.getAttribute("href"))) bad.push(e.outerHTML);
	}
	if (window.open === undefined || document.querySelectorAll("#turns").length !== 1) bad.push("the page is another");
	return bad;
})()`

// Nothing that a model, a title, a file, an import or the server itself says becomes
// markup of the page, nor loads anything.
func TestHostile(t *testing.T) {
	s := serve(t)
	all := hostile(t)
	p := open(t, s)
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := cdpage.AddScriptToEvaluateOnNewDocument(armed).Do(ctx)
		return err
	}))
	p.eval(`(() => {` + strings.TrimSuffix(strings.TrimSpace(armed), "true") + `})()`)
	check := func(what string) {
		t.Helper()
		if bad := p.eval(clean).([]any); len(bad) > 0 {
			t.Fatalf("%s: %v", what, bad)
		}
	}
	for i, text := range all {
		message := fmt.Sprintf("answer %d", i)
		s.on(message, text)
		p.ask(message)
		check("an answer: " + text)
		if i%8 == 7 {
			p.button("+ New chat")
		}
	}
	// As messages, titles, the system prompt and names of files.
	for _, text := range []string{all[0], all[3], all[5], all[24]} {
		p.button("+ New chat")
		p.eval(fmt.Sprintf(`import("./js/files.js").then((m) => m.put({ name: %q, text: %q }))`, text, text))
		p.set("system", text)
		p.ask(text)
		check("a message: " + text)
	}
	check("the list")
	// As an import, each field of which is hostile.
	x := all[3]
	file := filepath.Join(t.TempDir(), "x.json")
	export, err := json.Marshal(map[string]any{"penstock": "conversations", "version": 1, "conversations": []any{map[string]any{
		"id": x, "title": x, "named": true, "created": x, "updated": 1, "head": "b", "settings": map[string]any{"system": x, "temperature": x, "schema": x, "tools": x, "tool_choice": x, "x": x, "seed": x},
		"__proto__": map[string]any{"polluted": true}, "constructor": x,
		"nodes": []any{
			map[string]any{"id": "a", "parent": nil, "role": "user", "content": x, "files": []any{map[string]any{"name": x, "text": x}, x}},
			map[string]any{"id": "b", "parent": "a", "role": "assistant", "content": x, "reasoning": x, "model": x, "state": x, "finish": x, "error": x, "stats": map[string]any{"rate": x, "ttft": x},
				"seen": "tokens", "calls": []any{map[string]any{"id": x, "name": x, "arguments": x}}, "tokens": []any{map[string]any{"s": x, "l": x, "b": []any{x}, "top": []any{map[string]any{"s": x, "l": -1}}}}},
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, export, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.SetUploadFiles("#import-file", []string{file}, chromedp.ByQuery))
	p.wait(`document.querySelectorAll(".call").length === 1`)
	p.settle()
	check("an import")
	p.click(`.turn.assistant [data-act="tokens"]`)
	p.click(`.tok`)
	check("an import's tokens")
	p.press("Escape")
	p.click(`.turn.assistant [data-act="request"]`)
	check("an import's request")
	p.press("Escape")
	p.is(`({}).polluted`, nil)
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	check("after all that")
}

// The names of models come from files, and errors repeat what was sent.
func TestHostileServer(t *testing.T) {
	x := `"><img src=x onerror=alert(1)>`
	s := serve(t, withModel(x))
	p := open(t, s)
	p.eval(`(() => {` + strings.TrimSuffix(strings.TrimSpace(armed), "true") + `})()`)
	p.set("model", x)
	p.ask("Hello")
	p.eval(`void (location.hash = "#live")`)
	p.wait(`document.getElementById("live-state").textContent.includes("is loaded")`)
	p.eval(`void (location.hash = "#chat")`)
	p.set("schema", `{"type": "<img src=x onerror=alert(1)>"}`)
	p.send("Again")
	p.wait(`!document.getElementById("notice").hidden`)
	if bad := p.eval(clean).([]any); len(bad) > 0 {
		t.Errorf("%v", bad)
	}
}

// The page works with nothing but its server; check, which every test ends with,
// sees what it asks for.
func TestOffline(t *testing.T) {
	s := serve(t)
	s.on("Links", "![a](https://evil.example/a.png) <img src=https://evil.example/b.png> [c](https://evil.example/c) https://evil.example/d\n\n```html\n<link rel=stylesheet href=https://evil.example/e.css>\n```")
	p := open(t, s)
	p.ask("Links")
	p.is(`document.querySelectorAll(".said a").length`, 3)
	p.is(`[...document.querySelectorAll(".said a")].every((a) => a.rel.includes("noopener") && a.rel.includes("noreferrer") && a.target === "_blank")`, true)
	p.is(`performance.getEntriesByType("resource").every((e) => new URL(e.name).origin === location.origin)`, true)
	// The policy blocks what a script would fetch elsewhere.
	p.allowed = append(p.allowed, "Content Security", "TrustedHTML", "This document requires")
	p.is(`fetch("https://evil.example/").then(() => "fetched", (e) => e.name)`, "TypeError")
	p.is(`(() => { try { document.getElementById("turns").innerHTML = "<b>x</b>"; return "made"; } catch (e) { return e.name; } })()`, "TypeError")
	p.is(`(() => { try { trustedTypes.createPolicy("mine", {}); return "made"; } catch (e) { return e.name; } })()`, "TypeError")
	p.is(`new Promise((go) => { const s = document.createElement("img"); s.onload = () => go("loaded"); s.onerror = () => go("blocked"); s.src = "https://evil.example/x.png"; document.body.append(s); })`, "blocked")
}
