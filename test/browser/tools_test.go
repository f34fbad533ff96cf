package browser

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// sent is the last request for an answer.
func (p *page) sent() map[string]any {
	p.t.Helper()
	var m map[string]any
	if body := p.site.body(); json.Unmarshal([]byte(body), &m) != nil {
		p.t.Fatalf("sent %q", body)
	}
	return m
}

// Every setting is sent as the API has it, and one that is left empty is not.
func TestSettings(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.click("#settings-open")
	p.is(`document.getElementById("temperature").placeholder + " " + document.getElementById("top_p").placeholder`, "0 0.9") // the model's own
	p.ask("plain")
	got := p.sent()
	for _, name := range []string{"temperature", "top_p", "seed", "stop", "max_tokens", "response_format", "tools", "logprobs"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is sent as %v", name, v)
		}
	}
	values := map[string]string{"temperature": "0.5", "top_p": "0.8", "top_k": "30", "min_p": "0.02", "repeat_penalty": "1.1", "presence_penalty": "0.1", "frequency_penalty": "0.2", "seed": "7", "max_tokens": "400"}
	for name, v := range values {
		p.set(name, v)
	}
	p.set("system", "You are a **test**.")
	p.set("stop", "XYZ\nend here")
	p.ask("again")
	got = p.sent()
	for name, v := range values {
		if b, _ := json.Marshal(got[name]); string(b) != v {
			t.Errorf("%s: sent %s, want %s", name, b, v)
		}
	}
	if b, _ := json.Marshal(got["stop"]); string(b) != `["XYZ","end here"]` {
		t.Errorf("stop: %s", b)
	}
	if !strings.Contains(s.prompt(), "<|im_start|>system\nYou are a **test**.<|im_end|>") {
		t.Errorf("the prompt is %q", s.prompt())
	}
	// They belong to the conversation, and a new one begins with them.
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined && document.querySelectorAll(".turn").length === 4`)
	p.is(`document.getElementById("seed").value + document.getElementById("system").value`, "7You are a **test**.")
	p.button("+ New chat")
	p.is(`document.getElementById("seed").value`, "7")
	p.click("#settings-open")
	p.button("Back to the model's own")
	p.is(`document.getElementById("seed").value + document.getElementById("system").value`, "")
}

func TestSchema(t *testing.T) {
	s := serve(t)
	s.on("Make one", `{"name": "Ada"}`)
	p := open(t, s)
	p.click("#settings-open")
	p.set("schema", `{"type": "object"`)
	p.is(`document.getElementById("schema-wrong").textContent.startsWith("Not JSON: ")`, true)
	p.is(`document.getElementById("schema").getAttribute("aria-invalid")`, "true")
	p.set("schema", `[]`)
	p.is(`document.getElementById("schema-wrong").textContent`, "A schema is an object: { … }")
	p.set("schema", `{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false}`)
	p.is(`document.getElementById("schema-wrong").textContent`, "")
	p.ask("Make one")
	var v struct{ Name string }
	if err := json.Unmarshal([]byte(p.text(`import("./js/state.js").then((m) => m.state.conversation.nodes.at(-1).content)`)), &v); err != nil || v.Name == "" {
		t.Errorf("%v: %+v", err, v)
	}
	if f, _ := p.sent()["response_format"].(map[string]any); f["type"] != "json_schema" {
		t.Errorf("sent %v", f)
	}
}

// A model calls two tools; the page shows the calls, and sends back what one writes.
func TestTools(t *testing.T) {
	s := serve(t)
	s.on("Weather?", "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>")
	s.on("rain", "Sun in Rome, rain in Oslo.")
	p := open(t, s)
	p.click("#settings-open")
	p.set("tools", `{"a": 1}`)
	p.is(`document.getElementById("tools-wrong").textContent`, "Tools are an array: [ … ]")
	p.set("tools", `[{"type": "function", "function": {}}]`)
	p.is(`document.getElementById("tools-wrong").textContent`, "Each tool needs a name")
	p.set("tools", `[{"name": "weather", "description": "Weather of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}]`)
	p.ask("Weather?")
	p.wait(`document.querySelectorAll(".call").length === 2`)
	p.is(`[...document.querySelectorAll(".call header code")].map((c) => c.textContent).join()`, "weather,weather")
	p.is(`JSON.parse(document.querySelectorAll(".call pre")[1].textContent).city`, "Oslo")
	p.eval(`void [...document.querySelectorAll(".call textarea")].forEach((a, i) => { a.value = ["sun", "rain"][i]; })`)
	p.button("Send the results")
	p.wait(`[...document.querySelectorAll(".turn.assistant .said")].at(-1).innerText === "Sun in Rome, rain in Oslo."`)
	p.settle()
	p.is(`[...document.querySelectorAll(".turn.tool .said")].map((e) => e.textContent).join()`, "sun,rain")
	p.is(`document.querySelectorAll(".call textarea").length`, 0)
	messages := p.sent()["messages"].([]any)
	roles := ""
	for _, m := range messages {
		roles += m.(map[string]any)["role"].(string) + " "
	}
	if roles != "user assistant tool tool " {
		t.Errorf("sent %s", roles)
	}
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined && document.querySelectorAll(".call").length === 2`)
}

func TestFiles(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.eval(`(() => {
		const d = new DataTransfer();
		d.items.add(new File(["first\n` + "```" + `\nfile"], "a.txt", { type: "text/plain" }));
		d.items.add(new File([new Uint8Array([0, 1, 255])], "b.bin"));
		d.items.add(new File(["x".repeat(600000)], "big.txt"));
		d.items.add(new File(["second"], "c.md"));
		const at = document.getElementById("turns");
		for (const name of ["dragover", "drop"]) at.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: d }));
	})()`)
	p.wait(`document.querySelectorAll("#files .chip").length === 2`)
	p.is(`[...document.querySelectorAll("#files .chip > span:first-child")].map((c) => c.textContent).join()`, "a.txt,c.md")
	p.button("Remove c.md")
	p.is(`document.querySelectorAll("#files .chip").length`, 1)
	file := filepath.Join(t.TempDir(), "d.csv")
	if err := os.WriteFile(file, []byte("1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(chromedp.SetUploadFiles("#attach-file", []string{file}, chromedp.ByQuery))
	p.wait(`document.querySelectorAll("#files .chip").length === 2`)
	p.eval(`(() => {
		const d = new DataTransfer();
		d.items.add(new File(["pasted"], "e.txt", { type: "text/plain" }));
		document.getElementById("text").dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: d }));
	})()`)
	p.wait(`document.querySelectorAll("#files .chip").length === 3`)
	p.button("Remove e.txt")
	p.ask("What is in them?")
	if want := "a.txt\n````\nfirst\n```\nfile\n````\n\nd.csv\n```\n1,2\n```\n\nWhat is in them?"; !strings.Contains(s.prompt(), want) {
		t.Errorf("the prompt is %q", s.prompt())
	}
	p.is(`document.querySelectorAll("#files .chip").length`, 0)
	p.is(`[...document.querySelectorAll(".turn.user .chip")].map((c) => c.textContent).join()`, "a.txt,d.csv")
	p.is(`document.querySelector(".turn.user .said").textContent`, "What is in them?")
}

// The tokens of an answer with their probabilities; another one in the place of one
// of them leads to another answer.
func TestTokens(t *testing.T) {
	s := serve(t)
	s.on("Say", "cats and dogs")
	p := open(t, s)
	p.set("probabilities", "true")
	p.ask("Say")
	p.click(`.turn.assistant [data-act="tokens"]`)
	p.wait(`document.querySelectorAll(".tok").length >= 13`)
	p.is(`document.querySelector(".turn.assistant .said").textContent`, "cats and dogs")
	p.run(chromedp.ActionFunc(hover(`.tok:nth-child(10)`)))
	p.wait(`!document.getElementById("tokens-pop").hidden`)
	p.is(`document.querySelector('#tokens-pop [aria-current="true"] code').textContent`, "d")
	// With the keyboard: the third token, its second alternative.
	p.run(chromedp.Focus(".tok", chromedp.ByQuery))
	for range 9 {
		p.press("ArrowRight")
	}
	p.is(`document.activeElement.textContent`, "d")
	p.press("Enter")
	p.wait(`document.getElementById("tokens-pop").contains(document.activeElement)`)
	p.is(`document.activeElement.querySelector("code").textContent`, "e")
	p.press("Escape")
	p.is(`document.activeElement.textContent + document.getElementById("tokens-pop").hidden`, "dtrue")
	p.press("Enter")
	p.wait(`document.getElementById("tokens-pop").contains(document.activeElement)`)
	p.press("ArrowDown")
	p.press("Enter")
	p.wait(`document.querySelector(".turn.assistant .branches")?.innerText.replace(/\s/g, "") === "‹2/2›"`)
	p.settle()
	p.is(`document.querySelector(".turn.assistant .said").textContent`, "cats and fogs")
	p.is(`document.querySelectorAll(".tok").length >= 13`, true)
	p.click(`.turn.assistant [data-act="tokens"]`)
	p.wait(`document.querySelector(".turn.assistant .said p")?.textContent === "cats and fogs"`)
	p.click(`.turn.assistant [data-act="back"]`)
	p.wait(`document.querySelector(".turn.assistant .said").textContent === "cats and dogs"`)
}

func TestStats(t *testing.T) {
	s := serve(t)
	s.delay.Store(4e6)
	p := open(t, s)
	p.ask(strings.Repeat("hello ", 20))
	p.wait(`/^\d+ tokens · [\d.]+ tokens\/s · first after \d+ ms · prompt \d+$/.test(document.querySelector(".stats").textContent)`)
	p.ask("and more")
	p.wait(`/ · prompt \d+, \d+ cached$/.test([...document.querySelectorAll(".stats")].at(-1).textContent)`)
}

// The request as a command runs, and as a program it is one.
func TestSnippets(t *testing.T) {
	s := serve(t)
	p := open(t, s)
	p.set("system", "It's \"quoted\" \\ $HOME `x` \u2028")
	p.set("top_k", "3")
	p.set("stop", "a'b")
	p.ask("What's 'this'?")
	prompt := s.prompt()
	p.click(`.turn.assistant [data-act="request"]`)
	p.wait(`document.getElementById("request").open`)
	code := func(tab string) string {
		p.button(tab)
		return p.text(`document.getElementById("request-panel").textContent`)
	}
	if out, err := exec.Command("bash", "-c", code("curl")).Output(); err != nil || !bytes.Contains(out, []byte("data: [DONE]")) {
		t.Errorf("curl: %v\n%s", err, out)
	}
	if got := s.prompt(); got != prompt {
		t.Errorf("curl's prompt is %q, want %q", got, prompt)
	}
	python := exec.Command("python3", "-c", `
import sys, types
calls = []
class Client:
    def __init__(self, **k):
        create = lambda **k: calls.append(k) or []
        self.chat = types.SimpleNamespace(completions=types.SimpleNamespace(create=create))
sys.modules["openai"] = types.SimpleNamespace(OpenAI=Client)
exec(sys.stdin.read())
k = calls[0]
assert k["messages"][-1]["content"] == "What's 'this'?" and k["extra_body"]["top_k"] == 3 and k["stream"] is True and k["stop"] == ["a'b"], k
print(k["messages"][0]["content"])`)
	python.Stdin = strings.NewReader(code("Python"))
	if out, err := python.CombinedOutput(); err != nil || string(out) != "It's \"quoted\" \\ $HOME `x` \u2028\n" {
		t.Errorf("Python: %v\n%s", err, out)
	}
	node := exec.Command("node", "--input-type=module", "-")
	node.Stdin = strings.NewReader(code("JavaScript"))
	if out, err := node.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("data: [DONE]")) {
		t.Errorf("JavaScript: %v\n%s", err, out)
	}
	p.press("ArrowRight")
	p.is(`document.activeElement.textContent`, "curl")
	p.press("Escape")
	p.is(`document.getElementById("request").open`, false)
}

// The picker has every model with its state, and the one that is chosen answers.
func TestModels(t *testing.T) {
	s := serve(t, withModel("other"))
	p := open(t, s)
	p.is(`[...document.querySelectorAll("#model option")].map((o) => o.textContent).join()`, "tiny,other")
	p.is(`document.getElementById("model-state").getAttribute("aria-label").startsWith("tiny is loaded: 135 M parameters")`, true)
	p.set("model", "other")
	p.ask("Hello")
	p.is(`document.querySelector(".turn.assistant .who").textContent`, "other")
	if m := p.sent()["model"]; m != "other" {
		t.Errorf("asked %v", m)
	}
	p.run(chromedp.Reload())
	p.wait(`document.documentElement.dataset.ready !== undefined`)
	p.is(`document.getElementById("model").value`, "other")
}
