//go:build parity

package model_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// parityResult is what a file differed by on a tier.
type parityResult struct {
	Name, Architecture, Tier string
	Reference, Fast          float64
}

// parityKept are the results of all runs, the last of each file and tier.
func parityKept(t *testing.T, dir string) (file string, kept []parityResult) {
	t.Helper()
	file = filepath.Join(dir, "results.json")
	raw, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return file, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &kept)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, kept
}

// keepParity adds the results of a run to those of runs before it.
func keepParity(t *testing.T, dir string, table []parityResult) {
	t.Helper()
	file, kept := parityKept(t, dir)
	kept = slices.DeleteFunc(kept, func(old parityResult) bool {
		return slices.ContainsFunc(table, func(r parityResult) bool { return r.Name == old.Name && r.Tier == old.Tier })
	})
	raw, err := json.Marshal(append(kept, table...))
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const parityBegins, parityEnds = "<!-- parity: make parity-archs DOCS=docs/fidelity.md -->\n", "<!-- end of parity -->\n"

// writeParity writes the page's table of architectures and paths: the largest difference
// of all files of an architecture that were compared, by whichever run was the last. Where
// a tier has not seen a file, the table would say too little.
func writeParity(t *testing.T, dir, page string) {
	t.Helper()
	_, kept := parityKept(t, dir)
	type row struct {
		files     map[string]bool
		reference float64
		fast      map[string]float64
	}
	tiers := []string{cpu.AVX512VNNI.String(), cpu.AVXVNNI.String(), cpu.AVX2.String(), cpu.Generic.String()}
	rows := map[string]*row{}
	seen := map[string]int{}
	for _, r := range kept {
		x := rows[r.Architecture]
		if x == nil {
			x = &row{files: map[string]bool{}, fast: map[string]float64{}}
			rows[r.Architecture] = x
		}
		x.files[r.Name] = true
		x.reference = max(x.reference, r.Reference)
		x.fast[r.Tier] = max(x.fast[r.Tier], r.Fast)
		seen[r.Name]++
	}
	for name, n := range seen {
		if n != len(tiers) {
			t.Errorf("%s was compared on %d of %d tiers: run make parity-archs with PENSTOCK_CPU set to each", name, n, len(tiers))
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n| Architecture | files | reference | fast, %s |\n|---|---|---|%s\n", strings.Join(tiers, " | fast, "), strings.Repeat("---|", len(tiers)))
	for _, arch := range slices.Sorted(maps.Keys(rows)) {
		x := rows[arch]
		fmt.Fprintf(&out, "| %s | %d | %.1e |", arch, len(x.files), x.reference)
		for _, tier := range tiers {
			fmt.Fprintf(&out, " %.4f |", x.fast[tier])
		}
		out.WriteByte('\n')
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(raw), parityBegins)
	_, after, ends := strings.Cut(rest, parityEnds)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", page)
	}
	if err := os.WriteFile(page, []byte(before+parityBegins+out.String()+"\n"+parityEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
