package server

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
)

// expressions are the PromQL of the dashboard and of the alerts, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	text, err := os.ReadFile("../../deploy/grafana/penstock.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Templating struct {
			List []struct{ Name, Query string }
		}
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for i, target := range p.Targets {
			all[p.Title+string(rune('A'+i))] = target.Expr
		}
	}
	for _, v := range board.Templating.List {
		if strings.HasPrefix(v.Query, "label_values(") {
			all["variable "+v.Name] = v.Query
		}
	}
	if text, err = os.ReadFile("../../deploy/prometheus/penstock-alerts.yaml"); err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("an alert without name, summary or severity: %+v", r)
			}
			all["alert "+r.Alert] = r.Expr
		}
	}
	return all
}

// metricName matches what may be a metric of this server in an expression.
var metricName = regexp.MustCompile(`\b(?:penstock|vllm|llamacpp|process)[_:][a-z0-9_:]+`)

// labelNames matches the labels that an expression selects or groups by.
var labelNames = regexp.MustCompile(`(?:by|without) \(([^)]*)\)|[{,]\s*(\w+)\s*(?:=~|!~|!=|=)`)

// TestDashboards: every metric of the dashboard and of the alerts is exported, with
// the labels that are asked for, and is used as what it is.
func TestDashboards(t *testing.T) {
	f := newFixture(t, "abc\x00")
	f.post(t, "/v1/completions", `{"prompt":"abc","max_tokens":9}`)
	f.settled(t)
	families := scrape(t, f)
	used := 0
	for place, expr := range expressions(t) {
		if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
			t.Errorf("%s: brackets of %s", place, expr)
		}
		known := []string{"job", "instance", "le"} // of Prometheus itself
		for _, name := range metricName.FindAllString(expr, -1) {
			used++
			family := families[name]
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if whole := families[strings.TrimSuffix(name, part)]; family == nil && whole.GetType() == dto.MetricType_HISTOGRAM && strings.HasSuffix(name, part) {
					family = whole
				}
			}
			if family == nil {
				t.Errorf("%s: %s is not exported", place, name)
				continue
			}
			gauge := family.GetType() == dto.MetricType_GAUGE
			if counted := strings.Contains(expr, "rate("+name); counted == gauge && !strings.HasPrefix(place, "variable") {
				t.Errorf("%s: %s is a %v: a rate is for what only grows", place, name, family.GetType())
			}
			for _, label := range family.Metric[0].Label {
				known = append(known, label.GetName())
			}
		}
		for _, m := range labelNames.FindAllStringSubmatch(expr, -1) {
			for label := range strings.FieldsFuncSeq(m[1]+" "+m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
				if !slices.Contains(known, label) {
					t.Errorf("%s: no metric of %s has the label %s", place, expr, label)
				}
			}
		}
	}
	if used < 40 {
		t.Errorf("only %d uses of metrics were found", used)
	}
}
