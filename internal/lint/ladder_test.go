package lint

import (
	"slices"
	"strings"
	"testing"
)

// levels is the import ladder. A package imports only lower levels; on its own
// level only its parent or its children. A path names itself and all below it.
var levels = map[string]int{
	"api":                  0,
	"internal/alloctest":   0,
	"internal/batch":       0,
	"internal/quant":       0,
	"internal/cpu":         0,
	"internal/metrics":     0,
	"internal/draft":       0,
	"internal/invariants":  0,
	"internal/access":      1,
	"internal/gguf":        1,
	"internal/kernel":      1,
	"internal/kvcache":     1,
	"internal/prefixstore": 1,
	"internal/tokenizer":   2,
	"internal/nn":          2,
	"internal/sched":       2,
	"internal/sample":      2,
	"internal/chat":        2,
	"internal/grammar":     1,
	"internal/hub":         2,
	"internal/quantize":    2,
	"internal/tinymodel":   4,
	"internal/model":       3,
	"internal/eval":        4,
	"internal/engine":      5,
	"internal/server":      6,
	"internal/instance":    6,
	"internal/bench":       7,
	"internal/lint":        8,
	"cmd":                  9,
}

// restricted names the imports that few packages may have, and those packages.
var restricted = map[string][]string{
	"unsafe":            {"internal/kernel", "internal/gguf", "internal/kvcache", "internal/cpu"},
	"golang.org/x/sys/": {"internal/kernel", "internal/gguf", "internal/kvcache", "internal/cpu"},
	"net/http":          {"internal/server", "internal/hub", "internal/bench", "cmd"},
	"flag":              {"cmd"},
}

// rung finds the entry of the ladder that a directory belongs to.
func rung(dir string) (name string, level int, ok bool) {
	for d := dir; d != "."; d = parent(d) {
		if l, found := levels[d]; found {
			return d, l, true
		}
	}
	return "", 0, false
}

func parent(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		return dir[:i]
	}
	return "."
}

func within(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

func TestLadder(t *testing.T) {
	for _, s := range tree(t) {
		if s.test() {
			continue // a test may build what its package is used by
		}
		from, level, ok := rung(s.dir)
		if !ok {
			t.Errorf("%s: package %s is not on the ladder: add it to levels", s.path, s.dir)
			continue
		}
		own, _ := s.imports()
		for _, dep := range own {
			to, l, ok := rung(dep)
			if !ok || l > level || l == level && from != to {
				t.Errorf("%s: %s (level %d) imports %s (level %d)", s.path, from, level, dep, l)
			}
		}
	}
}

func TestRestrictedImports(t *testing.T) {
	for _, s := range tree(t) {
		if s.test() {
			continue
		}
		_, other := s.imports()
		for _, dep := range other {
			for name, allowed := range restricted {
				if dep != name && !(strings.HasSuffix(name, "/") && strings.HasPrefix(dep, name)) {
					continue
				}
				if !slices.ContainsFunc(allowed, func(top string) bool { return within(s.dir, top) }) {
					t.Errorf("%s imports %s, which only %v may", s.path, dep, allowed)
				}
			}
		}
	}
}
