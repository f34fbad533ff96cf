package main

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/tinymodel"
)

// snippet is a block of shell commands in a document.
type snippet struct {
	place string // FILE:LINE of its first line
	text  string
}

// invocation is a program that a snippet runs, with its arguments.
type invocation struct {
	place string
	args  []string // args[0] is the program
}

// documents are the pages that people read, from this folder.
func documents(t *testing.T) []string {
	t.Helper()
	root := filepath.Join("..", "..")
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	return append(top, below...)
}

// snippets returns the blocks of a document that are marked as sh. A block without
// a mark must not hold commands, since nothing would run them.
func snippets(t *testing.T, path string) []snippet {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	mark, in := "", false
	for i, line := range strings.Split(string(text), "\n") {
		place := fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
		switch after, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case fence && !in:
			mark, in = after, true
			if mark == "sh" {
				all = append(all, snippet{place: fmt.Sprintf("%s:%d", filepath.Base(path), i+2)})
			}
		case fence:
			in = false
		case in && mark == "sh":
			all[len(all)-1].text += line + "\n"
		case in && mark == "" && typed.MatchString(line):
			t.Errorf("%s: %q is in a block that is not marked as sh", place, line)
		}
	}
	return all
}

var typed = regexp.MustCompile(`^\s*(\$ )?(penstock|make|curl) \S`)

// programs are what snippets run. The shell itself splits the words: a function
// with the program's name writes its arguments down and does nothing else, all of them
// at once: another may run in the background. What stands before a pipe runs, too.
const shims = `
note() { printf '%s\0' "$@" '
' >>"$NOTES"; }
for p in penstock make curl docker claude codex python3 pip systemctl brew open; do eval "$p() { note $p \"\$@\"; }"; done
`

// invocations runs a snippet and returns the programs that it called.
func invocations(t *testing.T, s snippet) []invocation {
	t.Helper()
	notes := filepath.Join(t.TempDir(), "notes")
	cmd := exec.Command("sh", "-u", "-c", shims+s.text+"\nstatus=$?; wait; exit $status\n")
	cmd.Dir = t.TempDir()
	provide(t, cmd.Dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "NOTES=" + notes}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", s.place, err, s.text, out)
		return nil
	}
	text, err := os.ReadFile(notes)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []invocation
	next := invocation{place: s.place}
	for word := range strings.SplitSeq(string(text), "\x00") {
		if word == "\n" {
			all = append(all, next)
			next.args = nil
		} else if word != "" || len(next.args) > 0 {
			next.args = append(next.args, word)
		}
	}
	return all
}

// Every command in the documents is one that this program, its Makefile or a
// server of it understands.
func TestDocumentedCommands(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the documents' commands are for a POSIX shell")
	}
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var commands, requests []invocation
	seen := map[string]int{}
	here := t.TempDir()
	provide(t, here)
	for _, path := range documents(t) {
		for _, s := range snippets(t, path) {
			for _, call := range invocations(t, s) {
				seen[call.args[0]]++
				switch call.args[0] {
				case "penstock":
					commands = append(commands, call)
				case "make":
					for _, word := range call.args[1:] {
						if !strings.Contains(word, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(word)+`:`).Match(makefile) {
							t.Errorf("%s: the Makefile has no %q", call.place, word)
						}
					}
				case "curl":
					requests = append(requests, call)
				}
			}
		}
	}
	for _, program := range []string{"penstock", "make", "curl"} {
		if seen[program] == 0 {
			t.Errorf("no document runs %s: %v", program, slices.Collect(maps.Keys(seen)))
		}
	}
	answers(t, requests)
	t.Chdir(here)
	for _, call := range commands {
		parses(t, call)
	}
}

// Every file of the source that the documents name exists.
func TestDocumentedFiles(t *testing.T) {
	named := regexp.MustCompile("`((?:internal|cmd|api|bench|test)/[\\w./-]+)`")
	files := 0
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			files++
			pattern := filepath.Join("..", "..", filepath.FromSlash(strings.TrimSuffix(m[1], "/...")))
			if _, err := os.Stat(pattern); err != nil {
				t.Errorf("%s: %s does not exist", filepath.Base(path), m[1])
			}
		}
	}
	if files < 20 {
		t.Errorf("only %d names of files were found", files)
	}
}

// provide writes the files that snippets read.
func provide(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"report.txt", "text.txt", "schema.json", "messages.json", "penstock.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parses checks a command line of penstock, in the current folder, without running
// it.
func parses(t *testing.T, call invocation) {
	t.Helper()
	var cli commands
	parser, err := newParser(&cli, &config{}, terminal{strings.NewReader(""), io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(call.args[1:]); err != nil {
		t.Errorf("%s: %s: %v", call.place, strings.Join(call.args, " "), err)
	}
}

// answers sends the requests of the documents to a server with a tiny model under
// the names that they use.
func answers(t *testing.T, requests []invocation) {
	t.Helper()
	dir := t.TempDir()
	decoder := filepath.Join(dir, "tiny.gguf")
	if err := tinymodel.Write(decoder, tinymodel.Options{Context: 512}); err != nil {
		t.Fatal(err)
	}
	s := serve(t, decoder, "--alias", "qwen2.5-coder:0.5b", "--alias", "qwen2.5-coder:1.5b")
	for _, call := range requests {
		request, err := curlRequest(call.args[1:], s.url)
		if err != nil {
			t.Errorf("%s: %v", call.place, err)
			continue
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Errorf("%s: %v", call.place, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode/100 != 2 {
			t.Errorf("%s: %s %s: %s, %v\n%.300s", call.place, request.Method, request.URL.Path, response.Status, err, body)
		}
	}
}

// curlRequest makes the request that curl would send, to another server. It knows
// the options that the documents use.
func curlRequest(args []string, server string) (*http.Request, error) {
	method, address, body := http.MethodGet, "", ""
	header := http.Header{}
	for i := 0; i < len(args); i++ {
		value := func() string {
			i++
			return args[min(i, len(args)-1)]
		}
		switch arg := args[i]; {
		case arg == "-d" || arg == "--json":
			method, body = http.MethodPost, value()
			header.Set("Content-Type", "application/json")
		case arg == "-X":
			method = value()
		case arg == "-H":
			name, text, _ := strings.Cut(value(), ":")
			header.Set(name, strings.TrimSpace(text))
		case slices.Contains([]string{"-s", "-sS", "-N", "-sSN", "--fail-with-body", "-f"}, arg):
		case strings.HasPrefix(arg, "http") || strings.HasPrefix(arg, "localhost"):
			address = arg
		default:
			return nil, fmt.Errorf("this test does not know curl's %q", arg)
		}
	}
	path := regexp.MustCompile(`^(https?://)?[^/]+`).ReplaceAllString(address, "")
	request, err := http.NewRequest(method, server+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	return request, nil
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Every link of the documents to a file or a heading leads somewhere.
func TestDocumentLinks(t *testing.T) {
	links := 0
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			page := path
			if target != "" {
				page = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			content, err := os.ReadFile(page)
			if info, statErr := os.Stat(page); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), match[1], err)
			} else if anchor != "" && !slices.Contains(anchors(string(content)), anchor) {
				t.Errorf("%s: %s has no heading #%s", filepath.Base(path), filepath.Base(page), anchor)
			}
		}
	}
	if links < 10 {
		t.Errorf("only %d links were found", links)
	}
}

// anchors are the names under which the headings of a page can be linked to.
func anchors(text string) []string {
	var all []string
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(strings.ReplaceAll(match[1], " ", "-"))
		all = append(all, regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, ""))
	}
	return all
}

// Every message that docs/troubleshooting.md explains is one of the program's.
func TestExplainedMessages(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range []string{"cmd", "internal"} {
		if err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			source.Write(content)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	messages := regexp.MustCompile("(?m)^\\| (?:[0-9]{3} )?`([^`]+)` \\|").FindAllStringSubmatch(string(text), -1)
	if len(messages) < 20 {
		t.Fatalf("only %d messages were found", len(messages))
	}
	for _, m := range messages {
		for part := range strings.SplitSeq(m[1], "…") {
			if part = strings.TrimSpace(part); !strings.Contains(source.String(), part) {
				t.Errorf("no message says %q", part)
			}
		}
	}
}
