package anthropic

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	api "github.com/penstock-llm/penstock/api/anthropic"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// TestManyResults: as many results of tools as a request's body has room for are
// read at once, and each gets the name of the tool that was called.
func TestManyResults(t *testing.T) {
	const n = 60_000
	var calls, results strings.Builder
	for i := range n {
		fmt.Fprintf(&calls, `,{"type":"tool_use","id":"%d","name":"t%d"}`, i, i)
		fmt.Fprintf(&results, `,{"type":"tool_result","tool_use_id":"%d"}`, i)
	}
	list := func(items string) json.RawMessage { return json.RawMessage("[" + items[1:] + "]") }
	start := cpu.Used()
	all, err := parseMessages(&api.Conversation{Messages: []api.Message{{Role: "assistant", Content: list(calls.String())}, {Role: "user", Content: list(results.String())}}})
	if err != nil || len(all) != 1+n || all[n].Name != fmt.Sprintf("t%d", n-1) {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	if d := cpu.Used() - start; d > 10*time.Second {
		t.Errorf("%v", d)
	}
}
