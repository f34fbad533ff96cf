package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// gpt2 is the pattern of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2(s string) int {
	i := 0
	switch s[0] {
	case '\'':
		if n := contraction(s, false); n > 0 {
			return n
		}
	case ' ':
		i = 1
	}
	switch c, _ := classes.at(s, i); c {
	case 0, space:
		return blankEnd(s, span(s, 0, space))
	case letter, number:
		return span(s, i, c)
	default:
		return span(s, i, wordSign)
	}
}

// A finder returns where the next match of a pattern in s is, or len(s) twice.
type finder = func(s string) (start, end int)

// runs finds what span matches, at the first place where it isn't empty.
func runs(span func(s string, i int) int) finder {
	return func(s string) (start, end int) {
		for i := 0; i < len(s); {
			if end := span(s, i); end > i {
				return i, end
			}
			_, width := classes.at(s, i)
			i += width
		}
		return len(s), len(s)
	}
}

// upTo finds the next 1 to n characters of set.
func upTo(n int, set class) finder {
	return func(s string) (start, end int) {
		start = span(s, 0, ^set)
		return start, atMost(s, start, set, n)
	}
}

// atMost is span for at most n characters.
func atMost(s string, i int, set class, n int) int {
	for ; n > 0; n-- {
		next := one(s, i, set)
		if next == i {
			break
		}
		i = next
	}
	return i
}

// spaced finds \s?set+ where span matches set+.
func spaced(span func(s string, i int) int) finder {
	return runs(func(s string, i int) int {
		if word := one(s, i, space); word > i {
			if end := span(s, word); end > word {
				return end
			}
		}
		return span(s, i)
	})
}

// ofClass is span as a function of the text alone.
func ofClass(set class) func(s string, i int) int {
	return func(s string, i int) int { return span(s, i, set) }
}

// signRuns finds runs of punctuation and of the ASCII symbols not in except.
func signRuns(except string) finder {
	return runs(func(s string, i int) int {
		for i < len(s) {
			next := one(s, i, punct)
			if next == i {
				if next = asciiSign(s, i); next == i || strings.Contains(except, s[i:next]) {
					break
				}
			}
			i = next
		}
		return i
	})
}

// signs finds one sign: punctuation or an ASCII symbol.
func signs(s string) (start, end int) {
	return runs(func(s string, i int) int { return max(one(s, i, punct), asciiSign(s, i)) })(s)
}

// asciiSign is one for ASCII punctuation and symbols.
func asciiSign(s string, i int) int {
	if s[i] < utf8.RuneSelf {
		return one(s, i, punct|symbol)
	}
	return i
}

// asciiLetters is the end of [A-Za-z]* at s[i].
func asciiLetters(s string, i int) int {
	for i < len(s) && (s[i]|0x20) >= 'a' && (s[i]|0x20) <= 'z' {
		i++
	}
	return i
}

// lineBreak finds one CR or LF.
func lineBreak(s string) (start, end int) {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return i, i + 1
	}
	return len(s), len(s)
}

// lines is the pattern [^\n]+|\n+.
func lines(s string) int {
	if s[0] != '\n' {
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			return i
		}
		return len(s)
	}
	return len(s) - len(strings.TrimLeft(s, "\n"))
}

// blankTail finds \s+$.
func blankTail(s string) (start, end int) {
	start = len(s)
	for start > 0 {
		r, width := utf8.DecodeLastRuneInString(s[:start])
		if classes.of(r) != space {
			break
		}
		start -= width
	}
	return start, len(s)
}

// asciiTriples finds [0-9][0-9][0-9].
func asciiTriples(s string) (start, end int) {
	digits := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			digits = 0
		} else if digits++; digits == 3 {
			return i - 2, i + 1
		}
	}
	return len(s), len(s)
}

// asciiThousands cuts a text before every ASCII digit that is followed by a
// multiple of three, itself included, and no more.
func asciiThousands(text string, emit func(string) bool) bool {
	from := 0
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		for at := i + (end-i)%3; at < end; at += 3 {
			if at > from {
				if !emit(text[from:at]) {
					return false
				}
				from = at
			}
		}
		i = end + 1
	}
	return from == len(text) || emit(text[from:])
}

// thousands cuts runs of digits into threes from the right. The text before a
// run stays with its first digits, as in llama.cpp; later stages split it.
func thousands(text string, emit func(string) bool) bool {
	for len(text) > 0 {
		from, at := 0, span(text, 0, ^number)
		end := span(text, at, number)
		n := utf8.RuneCountInString(text[at:end]) % 3
		if n == 0 {
			n = 3
		}
		for at < end {
			at = atMost(text, at, number, n)
			if !emit(text[from:at]) {
				return false
			}
			from, n = at, 3
		}
		if from < end && !emit(text[from:end]) { // no digits
			return false
		}
		text = text[end:]
	}
	return true
}

// cascade is the pattern of jais-2: that of llama3, except that white space
// without line breaks is cut into powers of two,
//
//	\s{512}(?!\S)|\s{256}(?!\S)|…|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}
func cascade(text string, emit func(string) bool) bool {
	for len(text) > 0 {
		_, width := classes.at(text, 0)
		end := span(text, 0, space)
		if end <= width {
			end = llama3.first(text)
		} else if last := strings.LastIndexAny(text[:end], "\r\n"); last >= 0 {
			end = last + 1
		} else {
			n, more := powersOfTwo(text, end, emit)
			if !more {
				return false
			}
			text = text[n:]
			continue
		}
		if !emit(text[:end]) {
			return false
		}
		text = text[end:]
	}
	return true
}

// powersOfTwo emits the pieces of the white space that ends at text[end], which
// is more than one character, and returns where they end: before the last one
// if a word follows.
func powersOfTwo(text string, end int, emit func(string) bool) (at int, more bool) {
	left := utf8.RuneCountInString(text[:end])
	keep := 0 // characters that must remain
	if end < len(text) {
		keep = 1
	}
	for left > keep {
		n := 512
		for n > 1 && n > left-keep {
			n /= 2
		}
		next := atMost(text, at, space, n)
		if !emit(text[at:next]) {
			return at, false
		}
		at = next
		left -= n
	}
	return at, true
}

// sentinels finds <sentinel:[0-9]+>.
func sentinels(s string) (start, end int) {
	const open = "<sentinel:"
	for at := 0; ; {
		i := strings.Index(s[at:], open)
		if i < 0 {
			return len(s), len(s)
		}
		start = at + i
		end = start + len(open)
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		if end > start+len(open) && end < len(s) && s[end] == '>' {
			return start, end + 1
		}
		at = end
	}
}

// imageTokens finds IMGIMG[A-I]{1,4}Z.
func imageTokens(s string) (start, end int) {
	const open = "IMGIMG"
	for at := 0; ; at = start + 1 {
		i := strings.Index(s[at:], open)
		if i < 0 {
			return len(s), len(s)
		}
		start = at + i
		end = start + len(open)
		for n := 0; n < 4 && end < len(s) && s[end] >= 'A' && s[end] <= 'I'; n++ {
			end++
		}
		if end > start+len(open) && end < len(s) && s[end] == 'Z' {
			return start, end + 1
		}
	}
}

// indents finds [\t\n]|    |  .
func indents(s string) (start, end int) {
	for i := range len(s) {
		switch {
		case s[i] == '\t' || s[i] == '\n':
			return i, i + 1
		case strings.HasPrefix(s[i:], "    "):
			return i, i + 4
		case strings.HasPrefix(s[i:], "  "):
			return i, i + 2
		}
	}
	return len(s), len(s)
}
