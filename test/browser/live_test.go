package browser

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// load has several clients ask at once, with the same beginning, until stop is called.
func (s *site) load(t *testing.T, clients int) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				body := fmt.Sprintf(`{"model":"tiny","max_tokens":%d,"messages":[{"role":"system","content":%q},{"role":"user","content":"request %d of client %d"}]}`,
					60+i*20, strings.Repeat("The same beginning. ", 30), n, i)
				resp, err := http.Post("http://"+s.addr+"/v1/chat/completions", "application/json", strings.NewReader(body))
				if err != nil {
					return
				}
				resp.Body.Close()
			}
		})
	}
	return func() {
		close(done)
		wait.Wait()
	}
}

// The live view shows the batch, who shares which blocks, the queue, speeds, and where
// the time of requests went; and at rest, that there is rest.
func TestLive(t *testing.T) {
	s := serve(t)
	s.delay.Store(int64(15 * time.Millisecond))
	p := open(t, s)
	p.click("#tab-live")
	p.wait(`document.getElementById("live-state").textContent === "tiny is loaded"`)
	p.is(`document.querySelector("#sequences .empty").textContent`, "No request is being answered.")
	stop := s.load(t, 12)
	p.wait(`document.querySelectorAll("#sequences tbody tr").length === 8`)
	p.wait(`/[1-9]\d* more wait/.test(document.getElementById("sequences-note").textContent)`)
	p.wait(`/^\d+ held, [1-9]\d* of them shared, /.test(document.getElementById("blocks-note").textContent)`)
	p.wait(`[...document.querySelectorAll("#sequences .phase")].some((e) => e.textContent.startsWith("decode"))`)
	p.wait(`document.querySelectorAll("#falls .what").length >= 4`)
	p.wait(`parseFloat(document.querySelector("#tiles dd span").textContent) > 10`)
	for name, has := range map[string]string{"First token": `^[\d.]+\s*m?s`, "Between tokens": `^[\d.]+\s*m?s`, "Memory": `^\d+\s*MB`, "Queue": `^\d+\s*waiting`} {
		p.wait(`[...document.querySelectorAll("#tiles dt")].some((e) => e.textContent === "` + name + `" && /` + has + `/.test(e.parentElement.querySelector("dd").textContent))`)
	}
	p.wait(`document.querySelectorAll("#step .bar-h span").length >= 4`)
	p.wait(`document.querySelector("#rate .line").getAttribute("d").split("L").length > 4`)
	p.is(`/^number \d+ · \d+ of \d+ rows, \d+ of them decode · [\d.]+ (ms|s): model [\d.]+ (ms|s), sampling [\d.]+ ms/.test(document.getElementById("step-note").textContent)`, true)
	p.is(`document.querySelector("#falls .bar-h").getAttribute("aria-label").startsWith("queue ")`, true)
	// The map has cells of several colours, and stripes where blocks are shared.
	p.is(`(() => { const c = document.getElementById("kv"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]); return seen.size >= 6; })()`, true)
	// The chat beside it is one of the requests.
	p.eval(`void (window.row = document.querySelector("#sequences tbody tr"))`)
	stop()
	p.wait(`document.querySelector("#sequences .empty").getClientRects().length`)
	p.is(`document.querySelectorAll("#sequences tbody tr").length`, 0)
	p.wait(`document.getElementById("step-note").textContent.endsWith("at rest")`)
	// A page that shows something else watches no more.
	p.click("#tab-chat")
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if p.eval(`import("./js/live.js").then((m) => m.watches())`) == false {
			break
		}
		if time.Since(start) > patience {
			t.Fatal("it still watches")
		}
	}
	s.kill()
	p.eval(`void (location.hash = "#live")`)
	p.wait(`document.getElementById("live-state").textContent === "The server cannot be reached"`)
	s.listen(t, s.addr)
	p.wait(`document.getElementById("live-state").textContent === "tiny is loaded"`)
}
