package browser

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// shot takes a picture of what is on the screen.
func (p *page) shot(path string) {
	p.t.Helper()
	var png []byte
	p.run(chromedp.CaptureScreenshot(&png))
	if len(png) > 300<<10 {
		p.t.Errorf("%s has %d KB", path, len(png)>>10)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

const pictured = "A penstock is the pipe that carries water from a reservoir to a turbine. What is lost on the way is the **head loss**, after Darcy and Weisbach:\n\n$$\nh_f = f \\cdot \\frac{L}{D} \\cdot \\frac{v^2}{2g}\n$$\n\n" +
	"| Symbol | Meaning | Unit |\n|---|---|--:|\n| f | friction factor | – |\n| L, D | length and diameter | m |\n| v | speed of the water | m/s |\n\nAs a function:\n\n" +
	"```go\n// HeadLoss returns the head that friction takes, in metres.\nfunc HeadLoss(f, length, diameter, speed float64) float64 {\n\tconst g = 9.81\n\treturn f * length / diameter * speed * speed / (2 * g)\n}\n```\n\nTwice the speed costs *four times* the head."

// TestPictures makes the pictures of the documents. The chats are scripted; the live
// view is that of the default model under load.
func TestPictures(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name string
		dark bool
		size []int64
	}{{"page", false, []int64{1280, 860}}, {"page-dark", true, []int64{1280, 860}}, {"page-phone", false, []int64{390, 800}}} {
		s := serve(t)
		s.delay.Store(int64(2 * time.Millisecond))
		question := "What does a penstock lose, and how do I compute it?"
		s.on(question, pictured)
		p := open(t, s, one.size...)
		p.dark(one.dark)
		for _, earlier := range []string{"Draft a commit message", "Translate the manual's first page", "Why is my sort not stable?"} {
			p.ask(earlier)
			p.eval(`void document.getElementById("new").click()`)
		}
		p.ask(question)
		p.eval(`void (document.activeElement.blur(), document.getElementById("log").scrollTop = 0)`)
		p.shot(filepath.Join(dir, one.name+".png"))
	}
	livePicture(t, filepath.Join(dir, "live.png"))
}

// livePicture shows the default model with more requests than its batch has places.
func livePicture(t *testing.T, path string) {
	binary := os.Getenv("PENSTOCK")
	ctx, cancel := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, binary, "serve", "--addr", "127.0.0.1:0", "--log-level", "warn")
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); server.Wait() }()
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		address = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(lines.Text())
	}
	if address == "" {
		t.Fatal("the server ended without naming its address")
	}
	p := openAt(t, &site{addr: address, actor: &actor{}}, "http://"+address+"/ui/#live", 1280, 1640)
	p.wait(`document.getElementById("live-state").textContent.endsWith("is loaded")`)
	clients, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for i := range 11 {
		wait.Go(func() {
			for n := 0; clients.Err() == nil; n++ {
				system := strings.Repeat("You help people who run a hydroelectric plant. Answer in whole sentences, and name the unit of each quantity. ", 6)
				body := fmt.Sprintf(`{"max_tokens":%d,"messages":[{"role":"system","content":%q},{"role":"user","content":"Question %d of desk %d: %s explain what happens in the pipe when the valve closes fast."}]}`,
					70+i*25, system, n, i, strings.Repeat("Consider the last reading of the gauges. ", i*3))
				r, err := http.NewRequestWithContext(clients, "POST", "http://"+address+"/v1/chat/completions", strings.NewReader(body))
				if err != nil {
					return
				}
				r.Header.Set("Content-Type", "application/json")
				if resp, err := http.DefaultClient.Do(r); err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	p.wait(`document.querySelectorAll("#falls .what").length >= 12`)
	p.wait(`document.querySelectorAll("#sequences tbody tr").length >= 8 && [...document.querySelectorAll("#sequences .phase")].some((e) => e.textContent.startsWith("prefill"))`)
	p.shot(path)
	p.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	p.wait(`document.querySelectorAll("#sequences tbody tr").length >= 8`)
	p.shot(strings.TrimSuffix(path, ".png") + "-dark.png")
	stop()
	wait.Wait()
}
