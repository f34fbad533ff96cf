package access

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const digest = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // of "secret"

// write makes a file of keys.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFile(t *testing.T) {
	keys, err := ReadFile(write(t, "\uFEFF# ours\r\n\r\nplain-key\r\n  alice "+digest+" scopes=infer,metrics models=a/b,c priority=high requests-per-minute=1"+
		" tokens-per-minute=2 concurrent=3 tokens-per-day=4 tokens-per-month=5\nbob sha256:"+strings.Repeat("0f", 32)+"\n"))
	if err != nil || len(keys) != 3 {
		t.Fatalf("%v, %v", keys, err)
	}
	plain, alice, bob := keys[0], keys[1], keys[2]
	if !plain.Plain || !plain.May(Admin) || !plain.May(Infer) || !plain.May(Metrics) || plain.Limits != (Limits{}) {
		t.Errorf("a plain key: %+v", plain)
	}
	want := Limits{RequestsPerMinute: 1, TokensPerMinute: 2, Concurrent: 3, TokensPerDay: 4, TokensPerMonth: 5, Priority: High}
	if alice.Name != "alice" || alice.Digest != Digest("secret") || alice.Plain || alice.May(Admin) || !alice.May(Metrics) || alice.Limits != want || strings.Join(alice.Models, " ") != "a/b c" {
		t.Errorf("alice: %+v", alice)
	}
	if !bob.May(Infer) || bob.May(Metrics) || bob.Models != nil {
		t.Errorf("bob: %+v", bob)
	}
}

// A name stays with its key when lines move, also where the file has none.
func TestNamesStayWhenLinesMove(t *testing.T) {
	names := func(text string) map[string]bool {
		keys, err := ReadFile(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]bool{}
		for _, k := range keys {
			m[k.Name] = true
		}
		return m
	}
	before, after := names("one\ntwo\nthree\n"), names("# first of all\nthree\ntwo\n")
	for name := range after {
		if !before[name] {
			t.Errorf("%s has become another key's name", name)
		}
	}
	if len(before) != 3 || len(after) != 2 {
		t.Errorf("%v, %v", before, after)
	}
}

func TestWrongLines(t *testing.T) {
	for text, want := range map[string]string{
		"schlüssel":                           "line 1: a key is one word of ASCII",
		"ok\ntwo words":                       "line 2: a key is one word of ASCII letters, digits and signs; a line with a name",
		digest:                                "line 1: a digest needs a name",
		"a sha256:12":                         "line 1: the digest has to be sha256: and 64",
		"a=b " + digest:                       "line 1: \"a=b\" is no name",
		"a " + digest + " infer":              "line 1: \"infer\": after the digest come words of the form option=value",
		"a " + digest + " rpm=3":              "line 1: unknown option \"rpm\"",
		"a " + digest + " scopes=x":           "line 1: scopes=x: want some of",
		"a " + digest + " scopes=":            "line 1: scopes=: want some of",
		"a " + digest + " models=a,":          "line 1: \"\" is no name of a model",
		"a " + digest + " concurrent=0":       "line 1: concurrent=0: want a whole number of at least 1",
		"a " + digest + " tokens-per-day=1e6": "line 1: tokens-per-day=1e6: want a whole number",
		"a " + digest + " priority=urgent":    "line 1: priority=urgent: want low, normal or high",
		"a " + digest + "\nb " + digest:       "line 2: b is the same key as a",
		"a " + digest + "\na sha256:" + strings.Repeat("0", 64): "line 2: there is another key named a",
		"a " + digest + "\nsecret":                              "line 2: key-2bb80d53 is the same key as a",
		"\xff":                                                  "it is not UTF-8",
		"\xff\xfek\x00":                                         "it is UTF-16 or binary",
	} {
		if _, err := ReadFile(write(t, text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := ReadFile(write(t, "twice\ntwice\n")); err != nil {
		t.Errorf("the same line twice: %v", err)
	}
}

// The file that Add makes is for its owner only, and has digests, no keys.
func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "keys")
	secret, err := Add(path, Key{Name: "alice", Scopes: []Scope{Infer}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	text, _ := os.ReadFile(path)
	if strings.Contains(string(text), secret) || strings.Contains(string(text), prefix) || len(secret) != len(prefix)+43 {
		t.Errorf("%s: %s", secret, text)
	}
	if other, err := Add(path, Key{Name: "bob", Scopes: []Scope{Infer}}); err != nil || other == secret {
		t.Errorf("%s, %v", other, err)
	}
	keys, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if k := NewRing(keys).Find(secret); k == nil || k.Name != "alice" {
		t.Errorf("found %v", k)
	}
	if left, _ := filepath.Glob(filepath.Dir(path) + "/*.part"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Whoever reads the file while others change it sees a whole one, and no change is
// lost.
func TestEditsAreAtomic(t *testing.T) {
	path := write(t, "# ours\nold-key\n")
	const writers = 8
	var all, reader sync.WaitGroup
	done := make(chan struct{})
	reader.Go(func() {
		for last := 0; ; {
			keys, err := ReadFile(path)
			if err != nil || len(keys) < last {
				t.Errorf("%d keys after %d, %v", len(keys), last, err)
				return
			}
			last = len(keys)
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range writers {
		all.Go(func() {
			if _, err := Add(path, Key{Name: fmt.Sprint("key", i), Scopes: []Scope{Infer}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(done)
	reader.Wait()
	keys, err := ReadFile(path)
	if err != nil || len(keys) != writers+1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	text, _ := os.ReadFile(path)
	if !strings.HasPrefix(string(text), "# ours\nold-key\n") {
		t.Errorf("what was there has changed:\n%s", text)
	}
	// A file that is wrong is left to a person.
	broken := write(t, "a b c\n")
	if _, err := Add(broken, Key{Name: "x"}); err == nil {
		t.Error("a wrong file was changed")
	}
	if err := Remove(path, "nobody"); err == nil || !strings.Contains(err.Error(), "no key named nobody") {
		t.Error(err)
	}
}

// A link to the file stays a link: the file that it leads to is replaced.
func TestLinkStays(t *testing.T) {
	path := write(t, "old-key\n")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if _, err := Add(link, Key{Name: "alice", Scopes: []Scope{Infer}}); err != nil {
		t.Fatal(err)
	}
	if keys, err := ReadFile(path); err != nil || len(keys) != 2 {
		t.Errorf("%v, %v", keys, err)
	}
}

func TestFind(t *testing.T) {
	r := NewRing(Plain("alpha", "beta"))
	for secret, want := range map[string]bool{"alpha": true, "beta": true, "alph": false, "alphaa": false, "": false, "key-8ed3f6ad": false} {
		if got := r.Find(secret) != nil; got != want {
			t.Errorf("%q: %v", secret, got)
		}
	}
	r.Replace(nil)
	if r.Find("alpha") != nil || r.Find("") != nil {
		t.Error("an empty ring accepts a key")
	}
}

// Watch notices a file that is written, one that another takes the place of, and
// a link that comes to lead elsewhere, as Kubernetes replaces secrets.
func TestWatch(t *testing.T) {
	path := write(t, "one\n")
	dir := filepath.Dir(path)
	link := filepath.Join(dir, "link")
	if err := os.Symlink("keys", link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := make(chan string, 100)
	if err := Watch(ctx, []string{link}, func() {
		text, _ := os.ReadFile(link)
		changes <- string(text)
	}); err != nil {
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await := func(want string) {
		t.Helper()
		for got := range changes { // a test that hangs here has failed
			if got == want {
				return
			}
		}
	}
	put("keys", "two\n")
	await("two\n")
	put("next", "three\n")
	if err := os.Rename(filepath.Join(dir, "next"), path); err != nil {
		t.Fatal(err)
	}
	await("three\n")
	put("elsewhere", "four\n")
	if err := os.Symlink("elsewhere", filepath.Join(dir, "new link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "new link"), link); err != nil {
		t.Fatal(err)
	}
	await("four\n")
	if err := Watch(ctx, []string{filepath.Join(dir, "none", "file")}, func() {}); err == nil {
		t.Error("a folder that does not exist is watched")
	}
}

// A file is refused or read, and what is read is what its lines say.
func FuzzParse(f *testing.F) {
	f.Add("alice " + digest + " scopes=infer,admin models=m concurrent=3 priority=low\n# x\nplain\n")
	f.Add("\uFEFFa\r\n\r\nb c d\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parse([]byte(text))
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.Plain {
				continue
			}
			again, err := parseLine(k.line())
			if err != nil || fmt.Sprint(again) != fmt.Sprint(k) {
				t.Errorf("%q: %+v, then %+v, %v", text, k, again, err)
			}
		}
	})
}
