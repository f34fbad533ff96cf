package jinja

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkMarks fails if the ranges of a result are not what Result says of them.
func checkMarks(t testing.TB, r Result) {
	t.Helper()
	at := -1
	for _, m := range r.Client {
		if m.Start <= at || m.End <= m.Start || m.End > len(r.Text) {
			t.Fatalf("the ranges are %v in a text of %d bytes", r.Client, len(r.Text))
		}
		at = m.End
	}
}

// show puts brackets around the marked parts of a result.
func show(t testing.TB, r Result) string {
	t.Helper()
	checkMarks(t, r)
	var b strings.Builder
	at := 0
	for _, m := range r.Client {
		b.WriteString(r.Text[at:m.Start] + "\u27e6" + r.Text[m.Start:m.End] + "\u27e7")
		at = m.End
	}
	return b.String() + r.Text[at:]
}

// TestMarks shows, for each operation, where the marks of its input end up. c is
// "Cli ent" and d is a mapping, both from a client; t is the template's "tmp".
func TestMarks(t *testing.T) {
	vars := NewDict(3)
	vars.Set("c", Client("Cli ent"))
	vars.Set("t", "tmp")
	d, err := FromClientJSON([]byte(`{"k":["v","w"],"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	vars.Set("d", d)
	for source, want := range map[string]string{
		`{{ c }}`:                                                          `⟦Cli ent⟧`,
		`<{{ c }}{{ c }}>`:                                                 `<⟦Cli entCli ent⟧>`,
		`{{ '<' + c + '>' + t }}`:                                          `<⟦Cli ent⟧>tmp`,
		`{{ '<' ~ c ~ 1 ~ c }}`:                                            `<⟦Cli ent⟧1⟦Cli ent⟧`,
		`{{ ('<' + c + '>')[1:4] }}`:                                       `⟦Cli⟧`,
		`{{ ('<' + c + '>')[0] }}`:                                         `<`,
		`{{ ('<' + c + '>')[::-1] }}`:                                      `⟦>tne ilC<⟧`,
		`{{ (' <' + c + '> ')|trim }}`:                                     `<⟦Cli ent⟧>`,
		`{{ (' ' + c + ' ').rstrip() }}`:                                   ` ⟦Cli ent⟧`,
		`{{ ('a-' + c + '-b').split('-')|join('+') }}`:                     `a+⟦Cli ent⟧+b`,
		`{{ ('a ' + c).split() }}`:                                         `⟦['a', 'Cli', 'ent']⟧`,
		`{{ ('a ' + c).split()[0] }}{{ ('a ' + c).split()[2] }}`:           `a⟦ent⟧`,
		`{{ ('a ' + c).rsplit(none, 1)[0] }}`:                              `a ⟦Cli⟧`,
		`{{ ('a\n' + c + '\nb').splitlines()|join(',') }}`:                 `a,⟦Cli ent⟧,b`,
		`{{ (t + c).partition('C')[0] }}{{ (t + c).partition('C')[1] }}`:   `tmp⟦C⟧`,
		`{{ t|replace('m', c) }}`:                                          `t⟦Cli ent⟧p`,
		`{{ c|replace('i', t) }}`:                                          `⟦Cl⟧tmp⟦ ent⟧`,
		`{{ (t + c)|replace('', '.') }}`:                                   `.t.m.p.⟦C⟧.⟦l⟧.⟦i⟧.⟦ ⟧.⟦e⟧.⟦n⟧.⟦t⟧.`,
		`{{ (t + c)|upper }}{{ (t + c).lower() }}{{ (t + c)|capitalize }}`: `TMP⟦CLI ENT⟧tmp⟦cli ent⟧Tmp⟦cli ent⟧`,
		`{{ ('é' + c)|upper }}`:                                            `⟦ÉCLI ENT⟧`,
		`{{ (t + c)|title }}`:                                              `Tmp⟦cli Ent⟧`,
		`{{ (t + '\n' + c + '\nx')|indent(2) }}`:                           "tmp\n  ⟦Cli ent⟧\n  x",
		`{{ t|indent(c, true) }}`:                                          `⟦Cli ent⟧tmp`,
		`{{ d|tojson }}`:                                                   `{"⟦k⟧": ["⟦v⟧", "⟦w⟧"], "⟦n⟧": 1}`,
		`{{ (t + c)|tojson }}`:                                             `"⟦tmpCli ent⟧"`,
		`{{ d }}`:                                                          `⟦{'k': ['v', 'w'], 'n': 1}⟧`,
		`{{ [t, c]|string }}`:                                              `⟦['tmp', 'Cli ent']⟧`,
		`{{ [t, t] }}`:                                                     `['tmp', 'tmp']`,
		`{% for k, v in d.items() %}{{ k }}:{{ v|join(',') if v is iterable else v }};{% endfor %}`: `⟦k⟧:⟦v⟧,⟦w⟧;⟦n⟧:1;`,
		`{{ d.keys()|list|first }}{{ (d|dictsort)[0][0] }}{{ d.k|last }}`:                           `⟦kkw⟧`,
		`{{ d['k'][0] }}{{ d.get('k')[1] }}{{ d.k|sort|join }}{{ d.k|unique|join }}`:                `⟦vwvwvw⟧`,
		`{{ d.k|map('upper')|join(t) }}`:                                                            `⟦V⟧tmp⟦W⟧`,
		`{{ c.join(['a', 'b']) }}`:                                                                  `a⟦Cli ent⟧b`,
		`{{ '<%s|%9s|%r>' % (c, c, c) }}`:                                                           `<⟦Cli ent⟧|  ⟦Cli ent⟧|⟦'Cli ent'⟧>`,
		`{{ '<{}|{0}>'.format(c) if false else '<{}|{x:>9}>'.format(c, x=c) }}`:                     `<⟦Cli ent⟧|  ⟦Cli ent⟧>`,
		`{{ (c + '%s') % t }}`:                                                                      `⟦Cli enttmp⟧`,
		`{{ '{:C>5}'.format(t) }}{{ ('{:' + c[0] + '>5}').format(t) }}`:                             `CCtmp⟦CCtmp⟧`,
		`{{ c * 2 }}`: `⟦Cli entCli ent⟧`,
		`{% set x %}<{{ c }}>{% endset %}{{ x }}`:                                                    `<⟦Cli ent⟧>`,
		`{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(c) }}{{ m(a=t) }}`:                              `<⟦Cli ent⟧><tmp>`,
		`{% macro m() %}{{ kwargs|tojson }}{% endmacro %}{{ m(**d) }}`:                               `{"⟦k⟧": ["⟦v⟧", "⟦w⟧"], "⟦n⟧": 1}`,
		`{{ dict(**d)|tojson }}{{ dict(d, a=1)|list|join }}`:                                         `{"⟦k⟧": ["⟦v⟧", "⟦w⟧"], "⟦n⟧": 1}⟦kn⟧a`,
		`{% filter upper %}a{{ c }}{% endfilter %}`:                                                  `A⟦CLI ENT⟧`,
		`{% for x in c %}{{ x }}.{% endfor %}`:                                                       `⟦C⟧.⟦l⟧.⟦i⟧.⟦ ⟧.⟦e⟧.⟦n⟧.⟦t⟧.`,
		`{{ c|safe }}{{ (c|safe) + '<' }}{{ '<' + (c|safe) }}`:                                       `⟦Cli entCli ent⟧&lt;&lt;⟦Cli ent⟧`,
		`{{ ('<' + c + '>')|escape }}`:                                                               `&lt;⟦Cli ent⟧&gt;`,
		`{{ x|default(c) }}{{ x|default(t) }}`:                                                       `⟦Cli ent⟧tmp`,
		`{{ c if c == 'Cli ent' and c in [c] and d.k == ['v', 'w'] and 'k' in d else t }}`:           `⟦Cli ent⟧`,
		`{{ strftime_now(c) }}`:                                                                      `⟦Cli ent⟧`,
		`{{ c|length }}{{ c is string }}{{ d is mapping }}{{ c|int }}`:                               `7TrueTrue0`,
		`{{ [c, t]|min }}{{ [c, t]|max }}{{ [t, c]|reverse|first }}{{ [[c]]|sum(start=[])|first }}`:  `⟦Cli ent⟧tmp⟦Cli entCli ent⟧`,
		`{% set ns = namespace(a='') %}{% set ns.a = ns.a + t %}{% set ns.a = ns.a + c %}{{ ns.a }}`: `tmp⟦Cli ent⟧`,
	} {
		tmpl, err := Parse(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		r, err := tmpl.Render(t.Context(), vars, Options{Now: testNow})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := show(t, r); got != want {
			t.Errorf("%s\n got %s\nwant %s", source, got, want)
		}
	}
}

const sentinel = '\ue123' // a private character: no template writes it

// poison adds the sentinel to every string of a JSON value, except to those that
// decide what a template does: the names of fields and roles.
func poison(v any) any {
	switch v := v.(type) {
	case string:
		return string(sentinel) + v + string(sentinel)
	case []any:
		for i := range v {
			v[i] = poison(v[i])
		}
	case map[string]any:
		for k, x := range v {
			if k != "role" && k != "type" {
				v[k] = poison(x)
			}
		}
	}
	return v
}

// soundlyMarked renders a template with poisoned variables: every sentinel in
// the result must be marked.
func soundlyMarked(t *testing.T, name, source string, vars []byte) (seen int) {
	t.Helper()
	var v any
	if err := json.Unmarshal(vars, &v); err != nil {
		t.Fatal(err)
	}
	poisoned, err := json.Marshal(poison(v))
	if err != nil {
		t.Fatal(err)
	}
	d, err := FromClientJSON(poisoned)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(source)
	if err != nil {
		return 0
	}
	r, err := tmpl.Render(t.Context(), d.(*Dict), Options{Now: testNow})
	if err != nil {
		return 0
	}
	checkMarks(t, r)
	at := 0
	for _, m := range append(r.Client, Range{len(r.Text), len(r.Text)}) {
		if i := strings.IndexRune(r.Text[at:m.Start], sentinel); i >= 0 {
			t.Errorf("%s: byte %d of %q came from a client and is not marked", name, at+i, r.Text)
		}
		seen += strings.Count(r.Text[m.Start:m.End], string(sentinel))
		at = m.End
	}
	return seen
}

// TestNoMarkIsLost: whatever a template does with a client's text, it stays marked.
func TestNoMarkIsLost(t *testing.T) {
	vars := readFile(t, "testdata/variables.json")
	seen := 0
	for i, source := range strings.Split(string(readFile(t, "testdata/expressions.txt")), "\n----\n") {
		seen += soundlyMarked(t, "expression "+itoa(i), source, vars)
	}
	if seen < 80 {
		t.Errorf("only %d sentinels came through the expressions", seen)
	}
	noMarkIsLostIn(t, "testdata/templates")
}

func noMarkIsLostIn(t *testing.T, dir string) {
	t.Helper()
	var conversations []struct {
		Name string
		Vars json.RawMessage
	}
	if err := json.Unmarshal(readFile(t, "testdata/conversations.json"), &conversations); err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.jinja"))
	seen := 0
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range conversations {
			seen += soundlyMarked(t, filepath.Base(path)+"/"+c.Name, string(source), c.Vars)
		}
	}
	if seen < 5*len(paths) {
		t.Errorf("only %d sentinels came through %d templates", seen, len(paths))
	}
}
