package browser

import (
	"os"

	"github.com/chromedp/chromedp"
)

// shot takes a picture of what is on the screen.
func (p *page) shot(path string) {
	p.t.Helper()
	var png []byte
	p.run(chromedp.CaptureScreenshot(&png))
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
