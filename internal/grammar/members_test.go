package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// listSpec is a list of members to test with: names with values of letters, other
// names, and duties that some of these meet.
type listSpec struct {
	Names    []string
	Required []bool
	Floating int // the last names
	Others   bool
	Duties   bool // one member of x or z, and one of y or z
	Min, Max int
	Order    MemberOrder
}

var (
	specNames  = []string{"a", "ab", "abc", "b", `q"`, "é"}
	specOthers = []string{"u", "v"}
	specDuties = []string{"x", "y", "z"}
)

func drawList(t *rapid.T) listSpec {
	s := listSpec{Names: rapid.SliceOfNDistinct(rapid.SampledFrom(specNames), 0, 4, rapid.ID[string]).Draw(t, "names"),
		Others: rapid.Bool().Draw(t, "others"), Duties: rapid.IntRange(0, 3).Draw(t, "duties") == 0,
		Order: MemberOrder(rapid.IntRange(0, 1).Draw(t, "order"))}
	for range s.Names {
		s.Required = append(s.Required, rapid.Bool().Draw(t, "required"))
	}
	if n := len(s.Names); n > 0 {
		s.Floating = rapid.IntRange(0, min(1, n)).Draw(t, "floating")
		if s.Floating > 0 {
			s.Required[n-1] = true
		}
	}
	s.Min, s.Max = rapid.IntRange(0, 3).Draw(t, "min"), rapid.IntRange(-1, 4).Draw(t, "max")
	return s
}

func (s *listSpec) grammar() (*Grammar, error) {
	b := NewBuilder(Limits{})
	m := Members{Min: s.Min, Max: s.Max, Comma: b.Regex().Literal(","), Order: s.Order}
	value := func(name string) Node {
		return b.Seq(b.Literal(`":`), b.Lexeme(b.Regex().Literals([]string{"1", "22", name})))
	}
	for i, n := range s.Names {
		m.Named = append(m.Named, Member{Name: n, Value: value("n"), Required: s.Required[i], Floating: i >= len(s.Names)-s.Floating})
	}
	other := func(name string) Node { return b.Seq(b.Literal(`"`+name), value("o")) }
	for _, n := range s.others() {
		m.Others = append(m.Others, other(n))
	}
	if s.Duties {
		m.Owed = 2
		for i, n := range specDuties {
			m.Duties = append(m.Duties, Duty{Meets: i + 1, Member: other(n)})
		}
	}
	start := b.Rule("object")
	b.Define(start, b.Seq(b.Literal("{"), b.Members(m), b.Literal("}")))
	return b.Compile(start)
}

func (s *listSpec) others() (out []string) {
	if s.Others {
		out = append(out, specOthers...)
	}
	if s.Duties {
		out = append(out, specDuties...)
	}
	return out
}

// has says whether the members of these names, in this order, are an object of the list.
func (s *listSpec) has(names []string) bool {
	met, count, last, required := 0, 0, -1, 0
	seen := map[string]bool{}
	owed := 0
	if s.Duties {
		owed = 3
	}
	declared := len(s.Names) - s.Floating
	for _, n := range names {
		count++
		i := slices.Index(s.Names, n)
		duty := slices.Index(specDuties, n) + 1
		switch {
		case i >= 0:
			if seen[n] || s.Order == InOrder && i < declared && i < last || s.Order == InOrder && i < declared && last >= declared {
				return false
			}
			last = max(last, i)
			seen[n] = true
		case duty > 0:
			if !s.Duties {
				return false
			}
			met |= duty
		case !slices.Contains(s.others(), n):
			return false
		}
		if i < 0 {
			last = len(s.Names)
		}
	}
	for i, n := range s.Names {
		if s.Required[i] && !seen[n] {
			required++
		}
	}
	return required == 0 && met == owed && count >= s.Min && (s.Max < 0 || count <= s.Max)
}

func text(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf(`"%s":1`, strings.ReplaceAll(n, `"`, `\"`)))
	}
	return "{" + strings.Join(out, ",") + "}"
}

// TestMembers holds lists of members against their description, writes random texts of them token by token, and sees them end in time.
func TestMembers(t *testing.T) {
	compiled := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawList(t)
		g, err := s.grammar()
		all := slices.Concat(s.Names, specOthers, specDuties)
		any := false
		for range 40 {
			names := rapid.SliceOfN(rapid.SampledFrom(all), 0, 5).Draw(t, "written")
			want := s.has(names)
			any = any || want
			if err != nil {
				if want {
					t.Fatalf("%+v has %s, but: %v", s, text(names), err)
				}
				continue
			}
			if got := g.Match([]byte(text(names))); got != want {
				t.Fatalf("%+v: %s is accepted: %v, want %v", s, text(names), got, want)
			}
		}
		if err != nil {
			return
		}
		compiled++
		v := letters(`"a`, `":`, `,"`, `":1,"`, `"ab":`, `1}`, `{"`)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		m := g.Matcher(v)
		left := m.Least() + 1 + random.IntN(12)
		for left > 0 && !m.ended {
			bits, err := m.Allowed(left)
			if err != nil {
				t.Fatal(err)
			}
			tokens := tokensOf(bits)
			if len(tokens) == 0 {
				t.Fatalf("%+v: nothing may follow %q", s, m.text)
			}
			if err := m.Accept(int32(tokens[random.IntN(len(tokens))])); err != nil {
				t.Fatal(err)
			}
			left--
		}
		if !m.ended {
			t.Fatalf("%+v: %q is cut", s, m.text)
		}
		if !g.Match(m.text) {
			t.Fatalf("%+v: wrote %q", s, m.text)
		}
	})
	if compiled == 0 {
		t.Error("no list was compiled")
	}
}
