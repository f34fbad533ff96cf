package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A list of files comes from a server: whatever it is, it is read or refused, and
// a wheel found in it has an address.
func FuzzListing(f *testing.F) {
	f.Add(true, `{"files":[{"filename":"tiny_part1-1.0-py3-none-any.whl","url":"../f.whl","hashes":{"sha256":"ab"},"size":7}]}`)
	f.Add(false, `<a href="../../f/tiny_part1-1.0-py3-none-any.whl#sha256=ab">tiny_part1-1.0-py3-none-any.whl</a>`)
	f.Add(false, `<a href="%zz"></a><A HREF='x&amp;y'>`)
	f.Add(true, `{"files":null}`)
	f.Fuzz(func(t *testing.T, asJSON bool, body string) {
		kind := "text/html"
		if asJSON {
			kind = "application/json"
		}
		at := &url.URL{Scheme: "https", Host: "index.example", Path: "/simple/tiny-part1/"}
		resp := &http.Response{Header: http.Header{"Content-Type": {kind}}, Request: &http.Request{URL: at}}
		files, err := parseListing(resp, []byte(body))
		if err != nil {
			if text := err.Error(); strings.Contains(text, "\n") {
				t.Errorf("more than one line: %q", text)
			}
			return
		}
		r, err := wheelIn(files, at, "tiny-part1==1.0")
		if err == nil && (r.url == "" || r.size == 0) {
			t.Errorf("found %+v", r)
		}
	})
}

func FuzzPipSettings(f *testing.F) {
	f.Add("[global]\nindex-url = https://a.example\n[install]\nextra-index-url =\n  https://b.example\n")
	f.Add("[\n=\n:x\n  y\n[global")
	f.Fuzz(func(t *testing.T, text string) {
		for key := range pipSettings(text) {
			if strings.ContainsAny(key, "\n_") {
				t.Errorf("a setting is called %q", key)
			}
		}
	})
}
