package server

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// refusal is an entry of testdata/refused.txt.
type refusal struct {
	head     string // the lines above the dashes
	on       string
	method   string
	path     string
	headers  []string
	body     string
	expected string
}

var header = regexp.MustCompile(`^[A-Z][A-Za-z-]*: `)

func parseRefusal(t *testing.T, text string) refusal {
	t.Helper()
	head, expected, ok := strings.Cut(text, "----\n")
	if !ok {
		t.Fatalf("no line of dashes in %q", text)
	}
	e := refusal{head: head, expected: expected}
	for line := range strings.Lines(head) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
		case e.method == "":
			e.method, e.path, _ = strings.Cut(line, " ")
		case strings.HasPrefix(line, "on "):
			e.on = line[3:]
		case header.MatchString(line):
			name, value, _ := strings.Cut(line, ": ")
			e.headers = append(e.headers, name, value)
		default:
			e.body = expand(line)
		}
	}
	return e
}

var repeated = regexp.MustCompile(`<(\d+) ([^>]+)>`)

// expand writes out what stands for long texts and for bytes that are no text.
func expand(body string) string {
	body = repeated.ReplaceAllStringFunc(body, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[1])
		return strings.Repeat(m[2], n)
	})
	return strings.ReplaceAll(body, `\xff`, "\xff")
}

// refusing are the servers that the entries ask for, by name.
func refusing(t *testing.T) map[string]*fixture {
	small := func(c *Config, _ *engineConfig) { c.MaxBody = 64 << 10 }
	all := map[string]*fixture{
		"": newFixture(t, "abc\x00", small),
		"keys": newFixture(t, "abc\x00", small, func(c *Config, _ *engineConfig) {
			c.Keys, c.Store = keyring("sk-right"), hub.Open(hub.Config{Root: t.TempDir()})
		}),
		"full": newFixture(t, "abc", small, func(_ *Config, e *engineConfig) { e.MaxBatch, e.MaxQueue = 1, 1 }),
	}
	all["loading"] = &fixture{Server: New(Config{Version: "test"})}
	return all
}

// Each refused request gets the status and the very body that testdata/refused.txt
// says, which names what is wrong in the form of its protocol, and no name of the
// code.
func TestRefusedRequests(t *testing.T) {
	noLeaks(t)
	const file = "testdata/refused.txt"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries := strings.Split(strings.TrimSpace(string(data)), "\n\n")
	servers := refusing(t)
	occupy(t, servers["full"])
	got := entries[:1:1] // the comment
	for _, text := range entries[1:] {
		e := parseRefusal(t, text+"\n")
		f := servers[e.on]
		if f == nil {
			t.Fatalf("there is no server %q", e.on)
		}
		a := f.do(t, e.method, e.path, e.body, append(e.headers, "X-Request-Id", "req-1")...)
		answer := fmt.Sprintf("%d\n%s", a.status, a.body)
		got = append(got, e.head+"----\n"+answer)
		if a.status < 400 || len(a.body) > 700 || !utf8.ValidString(a.body) {
			t.Errorf("%s%s", e.head, answer)
		}
		for _, name := range []string{"json:", "jsontext", "serving", "chat:", "engine:", "strconv", "unmarshal", "Go "} {
			if strings.Contains(a.body, name) {
				t.Errorf("%s%s\nspeaks of %q", e.head, answer, name)
			}
		}
		if !*rewrite && answer+"\n" != e.expected {
			t.Errorf("%s got  %s\nwant %s", e.head, answer, e.expected)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(got, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// occupy starts as many slow generations as the engine takes.
func occupy(t *testing.T, f *fixture) {
	t.Helper()
	f.script.delay.Store(int64(100 * time.Millisecond))
	for f.engine.Room() == nil {
		g, err := f.model.Start(t.Context(), &serving.Job{Prompt: []int32{5}, MaxTokens: 400})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
	}
}
