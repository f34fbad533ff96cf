package access

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// noon is a moment from which tests count.
var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// begin starts a request that has to be accepted.
func begin(t *testing.T, m *Meters, k *Key, now time.Time) *Visit {
	t.Helper()
	v, r := m.Begin(k, now)
	if r != nil {
		t.Fatalf("refused: %+v", *r)
	}
	return v
}

// refused starts a request that must not be accepted.
func refused(t *testing.T, m *Meters, k *Key, now time.Time, want Refusal) {
	t.Helper()
	_, r := m.Begin(k, now)
	if r == nil || r.Limit != want.Limit || (r.Wait-want.Wait).Abs() > time.Millisecond {
		t.Errorf("got %+v, want %s and a wait of %v", r, want.Limit, want.Wait)
	}
}

func TestRequestsPerMinute(t *testing.T) {
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{RequestsPerMinute: 3}}
	for i := range 3 {
		v := begin(t, m, k, noon)
		if requests, tokens := v.Standing(noon); requests != (Standing{3, 2 - i, time.Duration(i+1) * 20 * time.Second}) || tokens.Limit != 0 {
			t.Errorf("request %d: %+v %+v", i, requests, tokens)
		}
		v.End(Use{}, noon)
	}
	refused(t, m, k, noon.Add(5*time.Second), Refusal{Limit: "requests-per-minute", Wait: 15 * time.Second})
	begin(t, m, k, noon.Add(20*time.Second)).End(Use{}, noon)
	refused(t, m, k, noon.Add(20*time.Second), Refusal{Limit: "requests-per-minute", Wait: 20 * time.Second})
	begin(t, m, &Key{Name: "b", Limits: k.Limits}, noon).End(Use{}, noon) // another key has its own
	raised := &Key{Name: "a", Limits: Limits{RequestsPerMinute: 100}}     // the file was changed
	begin(t, m, raised, noon.Add(20*time.Second)).End(Use{}, noon)
}

func TestConcurrent(t *testing.T) {
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{Concurrent: 2}}
	one, two := begin(t, m, k, noon), begin(t, m, k, noon)
	refused(t, m, k, noon, Refusal{Limit: "concurrent", Wait: 0})
	one.End(Use{}, noon)
	three := begin(t, m, k, noon)
	refused(t, m, k, noon, Refusal{Limit: "concurrent", Wait: 0})
	two.End(Use{}, noon)
	three.End(Use{}, noon)
}

// A prompt is charged when it begins, so that many at once do not pass together; an
// answer when it ends, which may bring the bucket into debt.
func TestTokensPerMinute(t *testing.T) {
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{TokensPerMinute: 600}}
	one, two := begin(t, m, k, noon), begin(t, m, k, noon)
	if r := one.Take(400, noon); r != nil {
		t.Fatalf("%+v", r)
	}
	if r := two.Take(400, noon); r == nil || r.Limit != "tokens-per-minute" || r.Wait != 20*time.Second {
		t.Errorf("two prompts of 400 with 600 a minute: %+v", r)
	}
	two.End(Use{}, noon)
	one.End(Use{Prompt: 400, Cached: 100, Completion: 1000}, noon) // 800 in debt
	refused(t, m, k, noon, Refusal{Limit: "tokens-per-minute", Wait: 80100 * time.Millisecond})
	three := begin(t, m, k, noon.Add(81*time.Second))
	if r := three.Take(5000, noon.Add(81*time.Second)); r == nil || r.Wait < 50*time.Second {
		t.Errorf("more than a minute's tokens, at once: %+v", r)
	}
	if r := three.Take(5000, noon.Add(141*time.Second)); r != nil {
		t.Errorf("more than a minute's tokens, of a full bucket: %+v", r)
	}
	three.End(Use{Prompt: 5000}, noon.Add(141*time.Second))
	if got := m.Totals()["a"]; got != (Use{Requests: 3, Prompt: 5400, Cached: 100, Completion: 1000}) {
		t.Errorf("%+v", got)
	}
}

// What was charged for a prompt that was then refused comes back, and no more than that.
func TestRefusedPromptsCostNothing(t *testing.T) {
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{TokensPerMinute: 100, TokensPerDay: 150}}
	for range 5 {
		v := begin(t, m, k, noon)
		if r := v.Take(80, noon); r != nil {
			t.Fatalf("refused: %+v", *r)
		}
		v.Return(80, noon)
		v.End(Use{}, noon)
	}
	two := begin(t, m, k, noon)
	for range 2 { // of two prompts one was computed
		if r := two.Take(30, noon); r != nil {
			t.Fatalf("refused: %+v", *r)
		}
	}
	two.Return(30, noon)
	two.End(Use{Prompt: 30, Completion: 20}, noon)
	if _, tokens := begin(t, m, k, noon).Standing(noon); tokens.Remaining != 50 {
		t.Errorf("%+v, want 50 tokens", tokens)
	}
	if u := m.Totals()["a"]; u.Tokens() != 50 {
		t.Errorf("%+v", u)
	}
	later := noon.Add(time.Hour)
	if _, tokens := begin(t, m, k, later).Standing(later); tokens.Remaining != 100 {
		t.Errorf("%+v, want 100 tokens", tokens)
	}
}

// A charge that the ledger has already is taken back in the ledger, too.
func TestRefusedAfterSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.db")
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{TokensPerDay: 100}}
	l := NewLedger(path, m)
	save := func() {
		t.Helper()
		if _, err := l.Save(noon); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, m, k, noon).End(Use{Prompt: 10}, noon)
	v := begin(t, m, k, noon)
	v.Take(80, noon)
	save()
	v.Return(80, noon)
	v.End(Use{}, noon)
	save()
	save()
	again := NewMeters()
	if _, err := NewLedger(path, again).Save(noon); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Meters{m, again} {
		v := begin(t, m, k, noon)
		if used := m.keys["a"].days["2026-11-30"].Prompt; used != 10 {
			t.Errorf("%d tokens are charged", used)
		}
		v.Take(80, noon)
		v.End(Use{Prompt: 80}, noon)
		if used := m.keys["a"].days["2026-11-30"].Prompt; used != 90 {
			t.Errorf("%d tokens are charged", used)
		}
	}
}

func TestQuotas(t *testing.T) {
	m, k := NewMeters(), &Key{Name: "a", Limits: Limits{TokensPerDay: 100, TokensPerMonth: 150}}
	v := begin(t, m, k, noon)
	v.End(Use{Prompt: 60, Completion: 40}, noon)
	refused(t, m, k, noon, Refusal{Limit: "tokens-per-day", Wait: 12 * time.Hour})
	if v.Take(1, noon) == nil {
		t.Error("a second prompt of the same request passes")
	}
	tomorrow := noon.Add(24 * time.Hour) // the first of another month
	begin(t, m, k, tomorrow).End(Use{Prompt: 90}, tomorrow)
	begin(t, m, k, tomorrow).End(Use{Prompt: 5}, tomorrow)
	after := tomorrow.Add(24 * time.Hour)
	begin(t, m, k, after).End(Use{Prompt: 60}, after)
	refused(t, m, k, after, Refusal{Limit: "tokens-per-month", Wait: 30*24*time.Hour - 36*time.Hour + 24*time.Hour})
}

// What was used is there after a restart, for the quotas too; several servers share
// a file.
func TestLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage")
	k := &Key{Name: "a", Limits: Limits{TokensPerDay: 100}}
	save := func(l *Ledger) {
		t.Helper()
		if _, err := l.Save(noon); err != nil {
			t.Fatal(err)
		}
	}
	first, second := NewMeters(), NewMeters()
	one, two := NewLedger(path, first), NewLedger(path, second)
	begin(t, first, k, noon).End(Use{Prompt: 30, Cached: 7, Completion: 20}, noon)
	save(one)
	save(one) // nothing is counted twice
	begin(t, second, k, noon).End(Use{Prompt: 40}, noon)
	save(two)
	begin(t, second, k, noon).End(Use{Completion: 15}, noon)
	refused(t, second, k, noon, Refusal{Limit: "tokens-per-day", Wait: 12 * time.Hour})
	save(two)
	begin(t, first, k, noon).End(Use{}, noon)
	save(one)
	refused(t, first, k, noon, Refusal{Limit: "tokens-per-day", Wait: 12 * time.Hour})
	third := NewMeters()
	save(NewLedger(path, third))
	refused(t, third, k, noon, Refusal{Limit: "tokens-per-day", Wait: 12 * time.Hour})
	got, err := ReadLedger(path, "2026-11")
	if err != nil || len(got) != 1 || got[0] != (DayUse{"2026-11-30", "a", Use{4, 70, 7, 35}}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadLedger(path, "2026-10"); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ReadLedger(path+"x", ""); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A full disk stops nobody, and nothing is lost when there is room again.
func TestLedgerOnAFullDisk(t *testing.T) {
	m := NewMeters()
	l := NewLedger(filepath.Join(t.TempDir(), "usage"), m)
	well, k := l.open, &Key{Name: "a"}
	full := &os.PathError{Op: "write", Path: "usage", Err: syscall.ENOSPC}
	l.open = func(path string) (*bolt.DB, error) {
		return bolt.Open(path, 0o600, &bolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return nil, full }})
	}
	for i := range 3 {
		begin(t, m, k, noon).End(Use{Prompt: 10}, noon)
		changed, err := l.Save(noon)
		if !errors.Is(err, syscall.ENOSPC) || changed != (i == 0) {
			t.Errorf("%v, %v", changed, err)
		}
	}
	if n, failing := l.Failures(); n != 3 || !failing {
		t.Errorf("%d, %v", n, failing)
	}
	l.open = well
	if changed, err := l.Save(noon); err != nil || !changed {
		t.Errorf("%v, %v", changed, err)
	}
	if got, err := ReadLedger(l.path, ""); err != nil || len(got) != 1 || got[0].Use != (Use{Requests: 3, Prompt: 30}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A damaged file is an error for Save, and nothing else: no panic, no fault, and the
// file is left for a person to look at.
func TestDamagedLedger(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	m, k := NewMeters(), &Key{Name: "a"}
	for i := range 300 {
		k.Name = "a" + strings.Repeat("x", i%60)
		begin(t, m, k, noon.AddDate(0, 0, -i%28)).End(Use{Prompt: 1}, noon.AddDate(0, 0, -i%28))
	}
	if _, err := NewLedger(good, m).Save(noon); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func(b []byte) []byte{
		"no database":   func([]byte) []byte { return []byte("hello") },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"cut":           func(b []byte) []byte { return b[:len(b)/4] },
		"cut to a page": func(b []byte) []byte { return b[:os.Getpagesize()] },
		"garbled": func(b []byte) []byte {
			for i := 2 * os.Getpagesize(); i < len(b); i++ {
				b[i] = byte(i * 7)
			}
			return b
		},
	}
	for name, change := range damage {
		path := filepath.Join(dir, name)
		for _, copy := range []string{path, path + " too"} { // the library may keep a file locked that it failed to open
			if err := os.WriteFile(copy, change(append([]byte(nil), text...)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := NewMeters()
		l := NewLedger(path, m)
		begin(t, m, k, noon).End(Use{Prompt: 10}, noon)
		if _, err := l.Save(noon); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := ReadLedger(path+" too", ""); err == nil {
			t.Errorf("%s: it can be read", name)
		}
		begin(t, m, k, noon).End(Use{}, noon)
	}
}

// Whoever asks how the file does is told at once, also while a writing waits for another
// process that has the file.
func TestFailuresDoNotWait(t *testing.T) {
	l := NewLedger(filepath.Join(t.TempDir(), "usage"), NewMeters())
	opening, proceed := make(chan struct{}), make(chan struct{})
	l.open = func(string) (*bolt.DB, error) {
		close(opening)
		<-proceed
		return nil, errors.New("in use")
	}
	saved := make(chan error)
	go func() {
		_, err := l.Save(time.Now())
		saved <- err
	}()
	<-opening
	told := make(chan bool)
	go func() {
		_, failing := l.Failures()
		told <- failing
	}()
	select {
	case failing := <-told:
		if failing {
			t.Error("it fails before it has ended")
		}
	case <-time.After(10 * time.Second):
		t.Error("asking waits for the writing")
	}
	close(proceed)
	if err := <-saved; err == nil {
		t.Error("saved into nothing")
	}
	if n, failing := l.Failures(); n != 1 || !failing {
		t.Errorf("%d failures, failing %v", n, failing)
	}
}
