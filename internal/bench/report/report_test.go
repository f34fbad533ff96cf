package report

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/bench/loadtest"
	"github.com/penstock-llm/penstock/internal/bench/peers"
	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

func compareResult(at time.Time, speeds ...float64) *peers.CompareResult {
	r := &peers.CompareResult{Record: results.Record{Kind: "compare", Time: at, Commit: "abc", Machine: results.Machine{CPU: "x", Threads: 2}},
		Settings: map[string]any{"gen": 50}, Servers: []peers.Compared{{Name: "a"}, {Name: "b"}}}
	for _, s := range speeds {
		r.Rounds = append(r.Rounds, peers.CompareRound{Runs: []loadtest.Summary{{TokensPerSecond: s}, {TokensPerSecond: s / 2}}, CPU: make([]float64, 2)})
	}
	r.Conclude()
	return r
}

func save(t *testing.T, dir, name string, v any) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := results.SaveJSON(path, v); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := save(t, dir, "one.json", compareResult(day, 100, 101, 102, 103, 104))
	two := save(t, dir, "two.json", compareResult(day.Add(time.Hour), 120, 121, 122, 123, 125))
	r := &Report{Results: filepath.Join(dir, "results"), Add: []string{one, two}}
	var out bytes.Buffer
	if err := r.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.Results, "20260102-030405-compare-abc.json")); err != nil {
		t.Error(err)
	}
	if err := r.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("the same result twice: %v", err)
	}

	out.Reset()
	if err := (&Report{Compare: []string{one, two}}).Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "better"); n != 2 {
		t.Errorf("20 %% faster in every round is called better %d times, want 2:\n%s", n, out.String())
	}
	out.Reset()
	noisy := save(t, dir, "noisy.json", compareResult(day, 90, 130, 101, 103, 99))
	if err := (&Report{Compare: []string{one, noisy}, JSON: true}).Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var v struct{ Differences []Difference }
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || len(v.Differences) != 3 || v.Differences[0].significant() {
		t.Errorf("noise is called a difference: %v %s", err, out.String())
	}
}

func TestReportRefuses(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	plain := save(t, dir, "a.json", compareResult(now, 1, 2))
	other := compareResult(now, 1, 2)
	other.Settings["gen"] = 51
	machine := compareResult(now, 1, 2)
	machine.Machine.CPU = "y"
	kind := &loadtest.Result{Record: results.Record{Kind: "load"}}
	for name, c := range map[string]struct {
		with any
		want string
	}{
		"settings": {other, "differ in gen (50 and 51)"},
		"machine":  {machine, "different machines"},
		"kind":     {kind, "can't be compared with a load"},
		"unknown":  {map[string]any{"kind": "x"}, "not known"},
	} {
		path := save(t, dir, "b.json", c.with)
		if err := (&Report{Compare: []string{plain, path}}).Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&Report{Compare: []string{plain}}).Run(t.Context(), io.Discard); err == nil {
		t.Error("one file was compared")
	}
	if err := (&Report{Results: t.TempDir()}).Run(t.Context(), io.Discard); err == nil {
		t.Error("an empty history was reported")
	}
	if err := os.WriteFile(filepath.Join(dir, "b.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&Report{Results: dir}).Run(t.Context(), io.Discard); err == nil {
		t.Error("a broken file was reported")
	}
}

// Two runs of the same thing, each of whose quantities has noise of its own, are called different in at most 5 % of the cases:
// whole reports are counted, not single rows.
func TestSameIsNotCalledDifferent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	run := func(rounds int) results.Result {
		r := &peers.CompareResult{Record: results.Record{Kind: "compare"}, Servers: []peers.Compared{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}}}
		for range rounds {
			round := peers.CompareRound{CPU: make([]float64, 4)}
			for range r.Servers {
				round.Runs = append(round.Runs, loadtest.Summary{TokensPerSecond: 100 * math.Exp(0.1*rng.NormFloat64())})
			}
			r.Rounds = append(r.Rounds, round)
		}
		return r
	}
	trials := 2000
	if testing.Short() {
		trials = 400
	}
	margin := 4 * math.Sqrt(0.05*0.95/float64(trials)) // four standard deviations of a share
	for rounds, most := range map[int]float64{4: 0, 5: 0.05 + margin, 7: 0.05 + margin, 10: 0.05 + margin} {
		called := 0
		for range trials {
			list, err := differences(run(rounds), run(rounds))
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(list, Difference.significant) {
				called++
			}
		}
		if share := float64(called) / float64(trials); share > most {
			t.Errorf("%d rounds of the same: called different in %.1f %% of the cases", rounds, 100*share)
		}
	}
}

func TestFewRepeatsAreNoClaim(t *testing.T) {
	dir, day := t.TempDir(), time.Now()
	a, b := save(t, dir, "a.json", compareResult(day, 100, 101, 102, 103)), save(t, dir, "b.json", compareResult(day, 200, 201, 202, 203))
	var out bytes.Buffer
	if err := (&Report{Compare: []string{a, b}}).Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "no claim: 4 repeats, at least 5 are needed") != 3 || strings.Contains(out.String(), "better") {
		t.Error(out.String())
	}
	// Forty requests of one run are one repeat.
	load := &loadtest.Result{Record: results.Record{Kind: "load"}, Summary: &loadtest.Summary{Requests: 40, TokensPerSecond: 100, E2E: stats.Distribution{N: 40, P50: 7}}}
	a, b = save(t, dir, "c.json", load), save(t, dir, "d.json", load)
	out.Reset()
	if err := (&Report{Compare: []string{a, b}}).Run(t.Context(), &out); err != nil || strings.Count(out.String(), "no claim: 1 repeats") != 2 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// The machine was a fifth slower on the second day, which its probe shows: speeds say nothing then, the ratio of two servers that
// were measured in the same rounds still does.
func TestMachineThatChanged(t *testing.T) {
	run := func(machine, factor float64) results.Result {
		r := compareResult(time.Now(), 100*machine, 101*machine, 102*machine, 103*machine, 104*machine)
		for i := range r.Rounds {
			r.Rounds[i].Bandwidth = 1e10 * machine
			r.Rounds[i].Runs[1].TokensPerSecond /= factor
		}
		return r
	}
	verdicts := func(a, b results.Result) map[string]string {
		list, err := differences(a, b)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, d := range list {
			out[d.Name] = d.verdict()
		}
		return out
	}
	same := verdicts(run(1, 1), run(0.8, 1))
	if len(same) != 3 || !strings.HasPrefix(same["a"], "no claim: the machine's own speed differed by 25 %") || same["a / b"] != "no difference beyond the noise" {
		t.Errorf("%q", same)
	}
	if other := verdicts(run(1, 1), run(0.8, 1.3)); other["a / b"] != "better" {
		t.Errorf("%q", other)
	}
	if other := verdicts(run(1, 1), run(0.95, 1.3)); other["b"] != "worse" {
		t.Errorf("a machine that is as fast as before allows a verdict on speeds: %q", other)
	}
}
