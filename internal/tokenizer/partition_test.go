package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slowPartition is what specials.split has to do, word for word: for each
// length from the longest down, every token of that length is cut out of what
// text is left, from left to right.
//
// A reserved token is not one where it touches what a client wrote.
func slowPartition(texts []string, attrs []attr, in *source) []string {
	type fragment struct {
		text string
		at   int // where it begins
		id   int
	}
	find := func(f fragment, k int) int {
		for j := range f.text {
			start, end := f.at+j, f.at+j+len(texts[k])
			touches := slices.ContainsFunc(in.client, func(r Range) bool { return start < r.End && end > r.Start })
			if strings.HasPrefix(f.text[j:], texts[k]) && !(touches && attrs[k]&reserved != 0) {
				return j
			}
		}
		return -1
	}
	fragments := []fragment{{in.text, 0, -1}}
	for length := 8; length > 0; length-- {
		for i := 0; i < len(fragments); i++ {
			f := fragments[i]
			if f.id >= 0 {
				continue
			}
			at, id := -1, -1
			for k, token := range texts {
				wanted := attrs[k]&userToken != 0 || in.controls && attrs[k]&hidden != 0
				if j := find(f, k); len(token) == length && wanted && j >= 0 && (at < 0 || j < at) {
					at, id = j, k
				}
			}
			if at < 0 {
				continue
			}
			left, right := f.text[:at], f.text[at+length:]
			if attrs[id]&lstrip != 0 {
				left = strings.TrimRight(left, " \t\n\v\f\r")
			}
			if attrs[id]&rstrip != 0 {
				right = strings.TrimLeft(right, " \t\n\v\f\r")
			}
			end := f.at + len(f.text)
			fragments = slices.Replace(fragments, i, i+1, fragment{left, f.at, -1}, fragment{"", 0, id}, fragment{right, end - len(right), -1})
		}
	}
	var out []string
	for _, f := range fragments {
		if f.id >= 0 {
			out = append(out, fmt.Sprint(f.id))
		} else if f.text != "" {
			out = append(out, fmt.Sprintf("%q", f.text))
		}
	}
	return out
}

func TestPartition(t *testing.T) {
	short := rapid.StringOfN(rapid.SampledFrom([]rune("ab< ")), 1, 6, -1)
	kinds := rapid.SampledFrom([]attr{normalToken, userToken, controlToken, unknownToken, controlToken | rstrip, userToken | lstrip, userToken | turnToken})
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfNDistinct(short, 1, 8, rapid.ID).Draw(t, "tokens")
		attrs := rapid.SliceOfN(kinds, len(texts), len(texts)).Draw(t, "attributes")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("aaab<  \n")), 0, 40, -1).Draw(t, "text")
		all := rapid.Bool().Draw(t, "all")
		in := &source{text: text, controls: all}
		places := rapid.SliceOfNDistinct(rapid.IntRange(0, len(text)), 0, 6, rapid.ID).Draw(t, "places")
		slices.Sort(places)
		for i := 0; i+1 < len(places); i += 2 {
			in.client = append(in.client, Range{places[i], places[i+1]})
		}
		var got []string
		newSpecials(texts, attrs).split(in,
			func(raw string) bool { got = append(got, fmt.Sprintf("%q", raw)); return true },
			func(id int32) bool { got = append(got, fmt.Sprint(id)); return true })
		if want := slowPartition(texts, attrs, in); !slices.Equal(got, want) {
			t.Fatalf("%q of %q %v\nclient %v\n got %v\nwant %v", text, texts, attrs, in.client, got, want)
		}
	})
}

func TestSpecialTokens(t *testing.T) {
	tok := open(t, "llama-bpe")
	const text = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
	parsed := tok.Encode(text, true, true)
	if want := []int32{128000, 128006, 882, 128007, 271, 13347, 128009}; !slices.Equal(parsed, want) {
		t.Errorf("parsed: %v, want %v", parsed, want)
	}
	if got := tok.Decode(parsed, true); got != "<|begin_of_text|>"+text {
		t.Errorf("decoded with special tokens: %q", got)
	}
	if got := tok.Decode(parsed, false); got != "user\n\nHi" {
		t.Errorf("decoded: %q", got)
	}
	for _, id := range tok.Encode(text, false, false) {
		if tok.IsSpecial(id) {
			t.Errorf("token %d is in text that must not be parsed", id)
		}
	}
}

// TestStripping: the names of phi-3's tokens swallow the white space after them.
func TestStripping(t *testing.T) {
	tok := open(t, "phi-3")
	got := tok.Encode("<|user|>  \nHi", false, true)
	if want := tok.Encode("<|user|>Hi", false, true); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
