package responses

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
)

// TestHostedItems: items of tools that OpenAI's servers run are left out, whatever
// their fields are: the arguments of a search for tools are an object.
func TestHostedItems(t *testing.T) {
	for _, kind := range hosted {
		input := `[{"role":"user","content":"hi"},{"type":"` + kind + `","call_id":null,"name":5,"arguments":{"query":"x"},"input":{},"output":{},"summary":"x"}]`
		if all, err := parseInput(json.RawMessage(input), nil); err != nil || len(all) != 1 {
			t.Errorf("%s: %d messages, %v", kind, len(all), err)
		}
	}
}

// TestManyOutputs: as many outputs of tools as a request's body has room for are
// read at once, and each gets the name of the tool that was called, in this
// request or an earlier one.
func TestManyOutputs(t *testing.T) {
	const n = 40_000
	before := []chat.Message{{Role: "assistant", Calls: []chat.Call{{ID: "early", Name: "first"}}}}
	var b strings.Builder
	b.WriteString(`[{"type":"function_call_output","call_id":"early","output":""}`)
	for i := range n {
		fmt.Fprintf(&b, `,{"type":"function_call","call_id":"%d","name":"t%d"}`, i, i)
	}
	for i := range n {
		fmt.Fprintf(&b, `,{"type":"function_call_output","call_id":"%d","output":""}`, i)
	}
	start := cpu.Used()
	all, err := parseInput(json.RawMessage(b.String()+"]"), before)
	if err != nil || len(all) != n+3 || all[1].Name != "first" || all[n+2].Name != fmt.Sprintf("t%d", n-1) {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	if d := cpu.Used() - start; d > 10*time.Second {
		t.Errorf("%v", d)
	}
}
