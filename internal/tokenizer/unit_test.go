package tokenizer

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// TestClassCounts notices when package unicode moves to another version of
// Unicode: added151 must move with it, or tokens change.
func TestClassCounts(t *testing.T) {
	counts := map[class]int{}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		counts[classes.of(r)]++
	}
	want := map[class]int{
		letter: 136726, mark: 2450, number: 1831, punct: 842, symbol: 7775, control: 139745, unassigned: 824718, space: 25,
	}
	if !maps.Equal(counts, want) {
		t.Errorf("got %v, want %v", counts, want)
	}
}

func TestWithoutAccent(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		if got, want := withoutAccent(r), []rune(norm.NFD.String(string(r)))[0]; got != want {
			t.Fatalf("%U: got %U, want %U", r, got, want)
		}
	}
}

func TestRunesAscend(t *testing.T) {
	for _, set := range append([]runeSet{han, hanKana, asian, chinese, deepseekScripts, deepseekSigns, deepseekLetters}, youtuScripts...) {
		if len(set)%2 != 0 || !slices.IsSorted(set) {
			t.Errorf("%x is not a set", set)
		}
		for i := 1; i+1 < len(set); i += 2 {
			if set[i] >= set[i+1] {
				t.Errorf("%x and %x overlap", set[i], set[i+1])
			}
		}
	}
}

func TestRanksFollowScores(t *testing.T) {
	scores := []float32{math.MaxFloat32, 3, 1, math.SmallestNonzeroFloat32, 0, -math.SmallestNonzeroFloat32, -1, -12.5, -math.MaxFloat32}
	for i := 1; i < len(scores); i++ {
		if rankOf(scores[i-1]) >= rankOf(scores[i]) {
			t.Errorf("score %v does not come before %v", scores[i-1], scores[i])
		}
	}
	if rankOf(0) != rankOf(float32(math.Copysign(0, -1))) {
		t.Error("the two zeros differ")
	}
}

func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Uint64Max(50)).Draw(t, "values")
		late := rapid.SliceOf(rapid.Uint64Max(50)).Draw(t, "late")
		q := queue(slices.Clone(values))
		q.order()
		for _, v := range late {
			q = append(q, v)
			q.sift()
		}
		want := append(values, late...)
		slices.Sort(want)
		for _, v := range want {
			if got := q.pop(); got != v {
				t.Fatalf("got %d, want %d", got, v)
			}
		}
	})
}

func TestTrie(t *testing.T) {
	word := rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 1, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfDistinct(word, rapid.ID).Draw(t, "keys")
		values := make([]int32, len(keys))
		for i := range values {
			values[i] = int32(i)
		}
		tr := newTrie(keys, values)
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abcd")), 0, 8, -1).Draw(t, "text")
		want, length := int32(-1), 0
		path := 0
		for i, key := range keys {
			if strings.HasPrefix(text, key) && len(key) > length {
				want, length = int32(i), len(key)
			}
			path = max(path, commonPrefix(text, key))
		}
		if got, n := tr.longest(text); got != want || n != length {
			t.Fatalf("longest is %d, %d bytes; want %d, %d", got, n, want, length)
		}
		if got := tr.path(text); got != path {
			t.Fatalf("path is %d, want %d", got, path)
		}
	})
}

// TestMergeOrder compares the heap with a search for the best pair.
func TestMergeOrder(t *testing.T) {
	texts := []string{"a", "b", "c", "ab", "bc", "abc", "aa", "aaaa", "ca", "bcab"}
	rapid.Check(t, func(t *rapid.T) {
		scores := rapid.SliceOfN(rapid.Float32Range(-2, 2), len(texts), len(texts)).Draw(t, "scores")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("aabc")), 1, 30, -1).Draw(t, "text")
		s := newSPM(texts, scores, -1)
		parts := strings.Split(text, "")
		for {
			at, rank := -1, uint32(math.MaxUint32)
			for i := range len(parts) - 1 {
				if id, ok := s.tokens[parts[i]+parts[i+1]]; ok && cmp.Less(s.ranks[id], rank) {
					at, rank = i, s.ranks[id]
				}
			}
			if at < 0 {
				break
			}
			parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
		}
		var want []int32
		for _, part := range parts {
			want = append(want, s.tokens[part])
		}
		if got := s.encode(nil, text, math.MaxInt); !slices.Equal(got, want) {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
	})
}

// A token whose merges don't lead to it stays split, however often it is met; one that they do lead to is the same the second time.
func TestWholePieces(t *testing.T) {
	b := newBPE([]string{"a", "b", "c", "ab", "bc", "abc"}, []string{"b c", "a b", "ab c"}, scheme{rawText: true})
	for range 3 {
		for text, want := range map[string][]int32{"ab": {3}, "bc": {4}, "abc": {0, 4}, "a": {0}, "abbc": {3, 4}} {
			m := new(merger)
			if got := b.piece(nil, text, m); !slices.Equal(got, want) {
				t.Errorf("%q: got %v, want %v", text, got, want)
			}
		}
	}
}
