package lint

import (
	"go/ast"
	"strings"
	"testing"
)

// TestClock: where times are compared, none is made from a number or turned into
// one. Such a time has lost its reading of the monotonic clock, so that limits,
// rates and histograms would jump when the wall clock is set. Seconds of Unix time
// in answers are not compared with anything.
func TestClock(t *testing.T) {
	watched := []string{"internal/engine", "internal/sched", "internal/nn", "internal/metrics", "internal/server", "internal/access", "internal/instance"}
	allowed := map[string]string{
		"internal/server/ui/live.go":            "a time that is sent to the page",
		"internal/server/kvevents/publisher.go": "a time that is sent to routers",
	}
	for _, s := range tree(t) {
		if s.test() || allowed[s.path] != "" {
			continue
		}
		inside := false
		for _, dir := range watched {
			inside = inside || within(s.dir, dir)
		}
		if !inside {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			fromNumber := x != nil && x.Name == "time" && strings.HasPrefix(sel.Sel.Name, "Unix")
			toNumber := sel.Sel.Name == "UnixNano" || sel.Sel.Name == "UnixMicro" || sel.Sel.Name == "UnixMilli"
			if fromNumber || toNumber {
				t.Errorf("%s: %s loses the monotonic clock: keep a time.Time, or a duration since one", s.fset.Position(call.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}
