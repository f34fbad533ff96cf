package schema

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/grammar"
)

// TestServed has for each schema texts that its grammar has and texts that it has not.
func TestServed(t *testing.T) {
	for name, c := range map[string]struct{ schema, yes, no string }{
		"white space": {`{"properties":{"a":{"type":"array"},"b":true},"required":["a","b"]}`,
			`{"a":[1,2],"b":{}} | {"a": [1, 2], "b": null} | {"a": [], "b": {"c": 1}, "d": 2}`, `{"b":1,"a":1} | {"a":[],} | {"a":[]  ,"b":1} | {}`},
		"any order":                       {`{"required":["b","z","a"],"properties":{"a":{},"b":{},"c":{"type":"null"}}}`, `{"a":1,"b":2,"z":3} | {"z":3,"c":null,"q":0,"b":2,"a":1}`, `{"b":2,"a":1} | {"b":2,"c":1,"z":3,"a":1} | {"a":1,"b":2,"a":1,"z":3}`},
		"many names":                      {`{"required":["k70","x"],"properties":{` + names(80) + `},"additionalProperties":false,"maxProperties":4}`, `{"k70":1,"x":2} | {"x":1,"k79":1,"k7":1,"k70":1}`, `{"x":1} | {"k70":1} | {"k1":1,"k2":2,"k70":1} | {"k1":1,"k2":1,"k3":1,"x":1,"k70":1} | {"k70":1,"k70":1,"x":1} | {"x":1,"k80":1,"k70":1}`},
		"escaped names":                   {`{"properties":{"a":{"type":"null"}},"additionalProperties":{"type":"string"}}`, `{"a":null} | {"b":"x"} | {"\u00e9":"x"}`, `{"a":"x"} | {"\u0061":"x"}`},
		"integers":                        {`{"type":"integer","minimum":-3,"exclusiveMaximum":120}`, `-3 | 0 | -0 | 9 | 119 | 7.0`, `-4 | 120 | 1.5 | 00 | 1e1`},
		"draft 4 integers":                {`{"$schema":"http://json-schema.org/draft-04/schema#","type":"integer","minimum":0,"exclusiveMinimum":true}`, `1 | 20`, `0 | 1.0`},
		"keywords younger than the draft": {`{"$schema":"http://json-schema.org/draft-04/schema#","const":1,"if":true,"then":false,"enum":[1,2]}`, `1 | 2`, `3`},
		"decimals":                        {`{"minimum":-1.25,"maximum":10.5,"type":"number"}`, `-1.25 | -1.2 | 10.5 | 10.50 | 0.001 | 9.99`, `-1.26 | 10.51 | 11 | -2`},
		"cents":                           {`{"type":"number","multipleOf":0.01}`, `1 | 1.5 | 12.34 | 0.010 | -7.25`, `1.234 | 0.005`},
		"multiples":                       {`{"type":"number","multipleOf":77}`, `0 | 77 | -154 | 7700 | 77.0`, `1 | 78 | 7.7`},
		"decimals of three":               {`{"type":"number","multipleOf":1.5}`, `0 | 1.5 | 3 | -4.50`, `1 | 2.5 | 1.51`},
		"halves":                          {`{"type":"number","multipleOf":2.5}`, `0 | 2.5 | 5 | 7.5 | 10.0`, `2 | 1.25 | 2.05`},
		"exponents":                       {`{"type":"number"}`, `1e5 | 1.5E-7 | -0`, `.5 | 1. | 01`},
		"characters":                      {`{"type":"string","minLength":2,"maxLength":3}`, `"ab" | "日本語" | "\u00e9é" | "\"\\" | "\ud83d\ude00a"`, `"a" | "abcd" | "日"`},
		"pattern":                         {`{"type":"string","pattern":"^[a-z]+[0-9]$","maxLength":4}`, `"ab1" | "abc1"`, `"abcd1" | "1" | "Ab1"`},
		"ends in loops":                   {`{"type":"string","pattern":"^(/?(\\.{2}|[a-z0-9]*)($|/))*$"}`, `"" | "a/b" | "/../x/" | "..//a"`, `"A" | "a." | "..."`},
		"an end inside of a loop":         {`{"type":"string","pattern":"^(?:ab$|b){2,}$"}`, `"bb" | "bab" | "bbbab"`, `"" | "b" | "ab" | "abb" | "babb"`},
		"lookahead":                       {`{"type":"string","pattern":"^(?!con$)[a-z]+$"}`, `"cona" | "x"`, `"con"`},
		"enum":                            {`{"enum":[1,"a",null,[1,{"x":2}],{"y":[]}]}`, `1 | 1.0 | "a" | null | [1, {"x": 2}] | {"y": []}`, `2 | "b" | [1] | {"y":[1]} | {}`},
		"recursion":                       {`{"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"k":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"],"additionalProperties":false}}}`, `{"v":1,"k":[{"v":2,"k":[]},{"v":3}]}`, `{"v":1,"k":[{"k":[]}]}`},
		"ids":                             {`{"$id":"http://x.org/root.json","properties":{"a":{"$ref":"item.json"},"b":{"$ref":"#n"}},"$defs":{"i":{"$id":"item.json","type":"null"},"n":{"$anchor":"n","const":3}}}`, `{"a":null,"b":3}`, `{"a":1} | {"b":4}`},
		"allOf":                           {`{"allOf":[{"properties":{"a":{"minimum":3}}},{"properties":{"a":{"maximum":5},"b":{"type":"null"}},"required":["a"]}]}`, `{"a":4,"b":null} | {"a":"s"}`, `{"a":6} | {"b":null}`},
		"oneOf by constants":              {`{"oneOf":[{"properties":{"k":{"const":"a"},"x":{"type":"null"}},"required":["k"]},{"properties":{"k":{"const":"b"}},"required":["k"]}]}`, `{"k":"a","x":null} | {"k":"b","x":1}`, `{"k":"a","x":1} | {"k":"c"}`},
		"oneOf that overlaps":             {`{"oneOf":[{"multipleOf":2,"type":"integer"},{"multipleOf":3,"type":"integer"}]}`, `2 | 3 | 9`, `6 | 0 | 1`},
		"not":                             {`{"type":"object","not":{"required":["a","b"]}}`, `{"a":1} | {"b":1} | {}`, `{"a":1,"b":2} | {"b":1,"a":2}`},
		"if":                              {`{"properties":{"a":{"type":"boolean"},"b":{}},"if":{"properties":{"a":{"const":true}},"required":["a"]},"then":{"required":["b"]},"else":{"properties":{"b":false}}}`, `{"a":true,"b":1} | {"a":false} | {}`, `{"a":true} | {"a":false,"b":1} | {"b":1}`},
		"dependencies":                    {`{"properties":{"a":{},"b":{},"c":{}},"dependencies":{"a":["b"],"c":{"properties":{"b":{"type":"null"}}}},"additionalProperties":false}`, `{"b":1} | {"a":1,"b":2} | {"a":1,"b":null,"c":3} | {"c":1}`, `{"a":1} | {"b":1,"c":2}`},
		"names":                           {`{"propertyNames":{"pattern":"^x"},"maxProperties":2,"minProperties":1}`, `{"x":1} | {"x1":1,"x2":2}`, `{} | {"y":1} | {"x":1,"x2":2,"x3":3}`},
		"one member, two duties":          {`{"allOf":[{"not":{"propertyNames":{"not":{"pattern":"a"}}}},{"not":{"propertyNames":{"not":{"pattern":"b"}}}}],"maxProperties":1}`, `{"ab":1} | {"cba":2}`, `{"a":1} | {} | {"a":1,"b":2}`},
		"pattern properties":              {`{"patternProperties":{"^a":{"type":"integer"},"z$":{"minimum":5}},"additionalProperties":false}`, `{"a":1} | {"az":5} | {"bz":7.5}`, `{"az":4} | {"az":5.5} | {"b":1}`},
		"items":                           {`{"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":1,"maxItems":3}`, `[1] | [1, "a"] | [1,"a",null]`, `[] | ["a"] | [1,"a",null,null] | [1,null]`},
		"contains":                        {`{"type":"array","contains":{"const":1},"minContains":1,"maxContains":2}`, `[1] | [0, 1, 2, 1]`, `[] | [0] | [1,1,1]`},
		"unique":                          {`{"type":"array","items":{"enum":["a","b",1]},"uniqueItems":true,"minItems":2}`, `["a",1] | [1,"b","a"]`, `["a"] | ["a","a"] | [1,1.0]`},
		"unique behind a reference":       {`{"$schema":"http://json-schema.org/draft-07/schema#","type":"array","items":{"$ref":"#/definitions/d","enum":[1]},"uniqueItems":true,"definitions":{"d":{"enum":[1,2]}}}`, `[] | [2] | [2,1]`, `[1,1] | [3]`},
		"too few values to be unique":     {`{"properties":{"a":{"type":"array","items":{"type":"boolean"},"uniqueItems":true,"minItems":3}}}`, `{} | {"b":[true]}`, `{"a":[true,false]} | {"a":[`},
		"id is a note since draft 6":      {`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"id":"http://x.org/a","properties":{"b":{"$ref":"#/definitions/d"}}}},"definitions":{"d":{"type":"null"}}}`, `{"a":{"b":null}}`, `{"a":{"b":1}}`},
		"$id is a note in draft 4":        {`{"$schema":"http://json-schema.org/draft-04/schema#","$id":"http://x.org/r","properties":{"a":{"$id":"a","properties":{"b":{"$ref":"#/definitions/d"},"c":{"$ref":"a"}}}},"definitions":{"d":{"$id":"d","type":"null"}}}`, `{"a":{"b":null,"c":{"b":null}}}`, `{"a":{"b":1}} | {"a":{"c":{"b":1}}}`},
		"unique strings":                  {`{"type":"array","items":{"type":"string"},"uniqueItems":true,"minItems":2}`, `["a","b"] | ["","a","aa", "\u00e8","é"] | ["/","\n","n"]`, `["a"] | ["a","b","a"] | ["é","\u00e9"] | ["/","\/"] | ["b","a",1] | ["",""]`},
		"unique strings of a few":         {`{"type":"array","items":{"type":"string","pattern":"^[ab]$"},"uniqueItems":true}`, `[] | ["a","b"] | ["b"]`, `["a","a"] | ["a","b","a"] | ["c"]`},
		"unique strings of many":          {`{"type":"array","items":{"enum":["a","b","c","d","e","f","g","h","i","j","kk","kl"]},"uniqueItems":true,"maxItems":3}`, `["a","kk","kl"] | [] | ["b"]`, `["a","kk","kk"] | ["a","b","c","d"] | ["k"]`},
		"nothing but true":                {`true`, `{"a":[1,"x",{"b":null}]} | 1.5e3`, `{a:1} | [1,] | "a`},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := Compile([]byte(c.schema), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			for text := range strings.SplitSeq(c.yes, " | ") {
				if !g.Match([]byte(text)) {
					t.Errorf("refuses %s", text)
				}
			}
			for text := range strings.SplitSeq(c.no, " | ") {
				if g.Match([]byte(text)) {
					t.Errorf("accepts %s", text)
				}
			}
		})
	}
}

// names is properties k0, k1 and so on, and x.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":{},`, i)
	}
	return b.String() + `"x":{}`
}

// TestInOrder writes properties in the order of the schema: first those that are declared, then the others.
func TestInOrder(t *testing.T) {
	for _, c := range []struct{ schema, yes, no string }{
		{`{"required":["b","z","a"],"properties":{"a":{},"b":{}}}`, `{"a":1,"b":2,"z":3} | {"a":1,"b":2,"q":0,"z":3}`, `{"b":2,"a":1,"z":3} | {"a":1,"b":2} | {"a":1,"z":3,"b":2}`},
		{`{"required":["b"],"properties":{"a":{},"b":{},"c":{}}}`, `{"b":1} | {"a":1,"b":1} | {"b":1,"c":1,"x":1}`, `{"b":1,"a":1} | {"c":1,"b":1} | {"x":1,"b":1} | {"b":1,"x":1,"c":1}`},
		{`{"properties":{"a":{},"b":{},"c":{}},"minProperties":2,"maxProperties":2,"additionalProperties":false}`, `{"a":1,"b":1} | {"b":1,"c":1}`, `{"c":1} | {"b":1,"a":1} | {"a":1,"b":1,"c":1}`},
		{`{"allOf":[{"properties":{"a":{},"b":{}}},{"properties":{"c":{},"a":{"type":"null"}},"required":["c"]}]}`, `{"a":null,"c":1} | {"b":1,"c":1}`, `{"c":1,"a":null}`},
	} {
		g, err := Compile([]byte(c.schema), Limits{Order: grammar.InOrder})
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.SplitSeq(c.yes, " | ") {
			if !g.Match([]byte(text)) {
				t.Errorf("%s refuses %s", c.schema, text)
			}
		}
		for text := range strings.SplitSeq(c.no, " | ") {
			if g.Match([]byte(text)) {
				t.Errorf("%s accepts %s", c.schema, text)
			}
		}
	}
}

func TestFormats(t *testing.T) {
	for format, c := range map[string]struct{ yes, no string }{
		"date-time":             {"2024-02-29T23:59:59Z 2023-12-01t00:00:00.123+05:30", "2023-02-29T00:00:00Z 2024-02-29 2024-13-01T00:00:00Z 2024-02-29T24:00:00Z"},
		"date":                  {"2000-02-29 1999-12-31", "1900-02-29 2024-04-31 24-01-01"},
		"time":                  {"12:00:00Z 23:59:59.5-01:00", "24:00:00Z 12:00:00 12:60:00Z"},
		"duration":              {"P1D PT5M P1Y2M3DT4H5M6S P3W", "P PT 1D P1S P1WT1H"},
		"email":                 {"a.b@example.com x+y@z " + strings.Repeat("x", 64) + "@y", "a @x a@ .a@b a..b@c " + strings.Repeat("x", 65) + "@y"},
		"hostname":              {"a example.com a-b.c1", "-a a- a..b " + strings.Repeat("x", 64)},
		"ipv4":                  {"0.0.0.0 255.249.199.9", "256.0.0.1 1.2.3 01.2.3.4"},
		"ipv6":                  {"::1 2001:db8::ff00:42:8329 1:2:3:4:5:6:7:8 ::ffff:1.2.3.4 1::", "1:2:3:4:5:6:7 ::1::2 12345::"},
		"uri":                   {"http://a.b/c?d=e#f urn:isbn:1 mailto:a@b http://[::1]:80/", "/a a:b\u00e9 http://a^b //x"},
		"uri-reference":         {"/a a#b ?x //h/p http://x .", "a^b \\"},
		"uuid":                  {"123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000 x"},
		"json-pointer":          {"/a/~0~1 /", "a /~2"},
		"byte":                  {"YQ== YWI= YWJj", "YQ= Y YWJj="},
		"relative-json-pointer": {"0 1# 2/a/~0b 10/", "01 -1 1/~2 #"},
		"iri":                   {"http://a.b/c urn:x http://\u00e9.fr/\u65e5?q=\u00fc#\u00e9", "/a http://a^b a\u00e9:b"},
		"iri-reference":         {"/\u00e9 ?x http://x", "a^b"},
		"uri-template":          {"/a/{id} {+x,y*}{?q:3} http://a/{#x.y} \u00e9", "{ } {} {a {a}} {a:0} a|b"},
		"regex":                 {`^[a-z\d_-]+$ (?:a|b*)?c{2,30} \w+\.(js|ts)$ ^((a)(b|(c)))*$ [^"\]]+ (?=a)b(?!c) a|| x{3,} ] ^.{0,9}\/ [A-Z][a-f0-9]`, `( a) [ [] * a** a{3,2} \ [z-a] (?<n>a (((((a{2,1}))))) (?a) x{99,10} ^*`},
		"of-my-own":             {"x 1", ""},
	} {
		g, err := Compile([]byte(`{"type":"string","format":"`+format+`"}`), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.FieldsSeq(c.yes) {
			if !g.Match([]byte(quoted(text))) {
				t.Errorf("%s: refuses %s", format, text)
			}
		}
		for text := range strings.FieldsSeq(c.no) {
			if g.Match([]byte(quoted(text))) {
				t.Errorf("%s: accepts %s", format, text)
			}
		}
	}
}

// TestRefused says of each schema which keyword is at fault, and where.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ schema, keyword, path string }{
		{`{"properties":{"a":{"type":"array","uniqueItems":true}}}`, "uniqueItems", "/properties/a"},
		{`{"items":{"pattern":"\\bword"}}`, "pattern", "/items"},
		{`{"items":{"pattern":"("}}`, "pattern", "/items"},
		{`{"$defs":{"a":{"$ref":"http://example.com/x"}},"$ref":"#/$defs/a"}`, "$ref", "/$defs/a"},
		{`{"anyOf":[{"$ref":"#/definitions/none"}]}`, "$ref", "/anyOf/0"},
		{`{"properties":{"a":{"anyOf":[{"properties":{"b":{}}},{}],"unevaluatedProperties":false}}}`, "unevaluatedProperties", "/properties/a"},
		{`{"items":{"unevaluatedItems":false}}`, "unevaluatedItems", "/items"},
		{`{"required":[1]}`, "required", ""},
		{`{"properties":{"a/b":{"multipleOf":0.123456789}}}`, "multipleOf", "/properties/a~1b"},
		{`{"minProperties":3}`, "minProperties", ""},
		{`{"format":"idn-hostname"}`, "format", ""},
		{`{"type":"text"}`, "type", ""},
		{`{"minLength":-1}`, "minLength", ""},
		{`{"properties":{"a":5}}`, "properties", ""},
		{`{"allOf":[]}`, "allOf", ""},
		{`{"$ref":"#"}`, "$ref", ""},
		{`{"properties":{"a":{"type":{"type":"string"}}}}`, "type", "/properties/a"},
		{`{"type":[]}`, "type", ""},
		{`{"minimum":true}`, "minimum", ""},
		{`{"multipleOf":false}`, "multipleOf", ""},
		{`{"uniqueItems":"yes"}`, "uniqueItems", ""},
		{`{"not":{"properties":[]}}`, "properties", "/not"},
		{`{"not":{"patternProperties":[]}}`, "patternProperties", "/not"},
	} {
		_, err := Compile([]byte(c.schema), Limits{})
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Keyword != c.keyword || refusal.Path != c.path {
			t.Errorf("%s: %v, want keyword %q at %q", c.schema, err, c.keyword, c.path)
		}
	}
	for _, text := range []string{``, `{`, `[]`, `1`, `{} {}`, `false`, `{"type":"object","required":["a"],"properties":{"a":{"$ref":"#"}}}`, `{"enum":[]}`} {
		if _, err := Compile([]byte(text), Limits{}); err == nil {
			t.Errorf("%q has a grammar", text)
		}
	}
}

// TestBounded compiles schemas that grow without bound when they are multiplied out.
func TestBounded(t *testing.T) {
	branch := `{"anyOf":[{"required":["a"]},{"required":["b"]},{"required":["c"]},{"required":["d"]}]}`
	for name, text := range map[string]string{
		"alternatives": `{"type":"object","allOf":[` + strings.Repeat(branch+",", 40) + branch + `]}`,
		"lengths":      `{"type":"string","minLength":1000000000,"pattern":"(a|b)*a(a|b){60000}"}`,
		"patterns":     `{"type":"string","allOf":[` + strings.Repeat(`{"pattern":"a.{30}b"},{"pattern":"b.{40}a"},`, 20) + `{"pattern":"c"}]}`,
		"depth":        strings.Repeat(`{"items":`, 5000) + "true" + strings.Repeat("}", 5000),
		"items":        `{"type":"array","minItems":1000000000}`,
		"values":       `{"type":"array","uniqueItems":true,"items":{"$ref":"#/$defs/x9"},"$defs":{"x0":{"enum":[null,true]}` + doublings(9, 6) + `}}`,
		"long":         `{"description":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		start := cpu.Used()
		_, err := Compile([]byte(text), Limits{})
		if took := cpu.Used() - start; took > 5*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if err == nil && name != "lengths" {
			t.Errorf("%s: served", name)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// doublings is definitions x1, x2 and so on, each of which has the one before it many times.
func doublings(levels, times int) string {
	var b strings.Builder
	for i := range levels {
		ref := fmt.Sprintf(`{"$ref":"#/$defs/x%d"}`, i)
		fmt.Fprintf(&b, `,"x%d":{"anyOf":[%s%s]}`, i+1, strings.Repeat(ref+",", times-1), ref)
	}
	return b.String()
}

func FuzzCompile(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"type":"integer","minimum":3}},"required":["a"]}`)
	f.Add(`{"oneOf":[{"pattern":"^a[b-d]{2,3}$"},{"multipleOf":0.01}],"not":{"const":5}}`)
	f.Add(`{"$defs":{"x":{"items":{"$ref":"#/$defs/x"},"uniqueItems":true}},"$ref":"#/$defs/x"}`)
	f.Add(`{"items":{"type":"string","pattern":"a+$"},"type":"array","uniqueItems":true,"minItems":9}`)
	f.Add(`{"if":{"required":["a"]},"then":{"dependentRequired":{"a":["b"]}},"patternProperties":{"^x":false}}`)
	f.Fuzz(func(t *testing.T, text string) {
		start := cpu.Used()
		if g, err := Compile([]byte(text), Limits{}); err == nil && g == nil {
			t.Error("neither a grammar nor an error")
		}
		if took := cpu.Used() - start; took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
