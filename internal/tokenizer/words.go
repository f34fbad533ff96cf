package tokenizer

import "strings"

// wordSign is what most rules of this file take for a sign: neither space nor
// letter nor digit.
const wordSign = ^(space | letter | number)

// words is the family of patterns that began with GPT-4. The first of these
// alternatives that matches is the piece:
//
//	contraction                's 't 'm 'd 're 've 'll in any case; if contracted
//	Han+                       if noHan
//	[ASCII sign][A-Za-z]+      if asciiLead
//	[lead]?word contraction?   lead is never CR or LF; the contraction if suffixes
//	digit{1,digits}
//	 ?sign+[\r\n]*             as many breaks as breaks says; slashes too if slash
//	\s*[\r\n]+|\s+(?!\S)|\s+
type words struct {
	word       wordShape
	otherwise  wordShape // tried when word matches nowhere; may be nil
	alphabet   class     // what words are made of
	lead       class     // what may stand before a word
	sign       class
	digits     int // longest piece of digits, 0 where an earlier stage has taken them
	breaks     breaks
	contracted bool
	noHan      bool
	asciiLead  bool
	suffixes   bool
	slash      bool
}

// wordShape returns the end of the word that begins at s[i], or i.
type wordShape func(s string, i int, alphabet class) int

// breaks is how many line breaks follow a sign.
type breaks uint8

const (
	allBreaks breaks = iota
	oneBreak
	noBreaks
	loneBreaks // none, and a line break is a piece of its own
)

const anyDigits = int(^uint(0) >> 1)

var (
	llama3    = words{word: span, alphabet: letter, lead: ^(letter | number), sign: wordSign, digits: 3, contracted: true}
	minicpm   = llama3.with(func(w *words) { w.digits = anyDigits })
	qwen2     = llama3.with(func(w *words) { w.digits = 1 })
	qwen35    = qwen2.with(func(w *words) { w.alphabet, w.sign = letter|mark, wordSign&^mark })
	seedCoder = qwen2.with(func(w *words) { w.breaks = noBreaks })
	ufakzeka  = qwen2.with(func(w *words) { w.contracted = false })
	exaoneMoE = qwen2.with(func(w *words) { w.word, w.breaks, w.slash = phrase, oneBreak, true })

	tekken       = words{word: mixedCase, otherwise: capitals, alphabet: letter, lead: ^(letter | number), sign: wordSign, digits: 1, slash: true}
	gpt4o        = tekken.with(func(w *words) { w.suffixes, w.digits = true, 3 })
	graniteMulti = gpt4o.with(func(w *words) { w.alphabet = letter | mark })
	tinyAya      = graniteMulti.with(func(w *words) { w.word, w.otherwise = span, nil })
	youtu        = tinyAya.with(func(w *words) { w.digits = 1 })
	kimi         = gpt4o.with(func(w *words) { w.word, w.otherwise, w.noHan, w.slash = withoutHan, nil, true, false })

	deepseek3 = words{word: span, alphabet: letter | mark, lead: ^(letter | punct | symbol), sign: punct | symbol, asciiLead: true}
	spark     = deepseek3.with(func(w *words) { w.breaks = loneBreaks })
)

func (w words) with(change func(*words)) *words {
	change(&w)
	return &w
}

// first returns the length of the piece that s begins with. A character that
// nothing matches is a piece.
func (w *words) first(s string) int {
	if n := w.match(s); n > 0 {
		return n
	}
	_, width := classes.at(s, 0)
	return width
}

// find returns the next match in s.
func (w *words) find(s string) (start, end int) {
	for i := 0; i < len(s); {
		if n := w.match(s[i:]); n > 0 {
			return i, i + n
		}
		_, width := classes.at(s, i)
		i += width
	}
	return len(s), len(s)
}

// match returns the length of the match at the start of s, or 0.
func (w *words) match(s string) int {
	if w.contracted && s[0] == '\'' {
		if n := contraction(s, true); n > 0 {
			return n
		}
	}
	if w.noHan {
		if n := han.span(s, 0); n > 0 {
			return n
		}
	}
	c, width := classes.at(s, 0)
	if w.asciiLead && width == 1 && c&(punct|symbol) != 0 {
		if end := asciiLetters(s, 1); end > 1 {
			return end
		}
	}
	if end := w.led(s, c, width); end > 0 {
		if w.suffixes {
			end += contraction(s[end:], true)
		}
		return end
	}
	if c == number {
		return atMost(s, 0, number, w.digits)
	}
	start := 0
	if s[0] == ' ' {
		start = 1
	}
	if end := span(s, start, w.sign); end > start {
		return w.breaksAfter(s, end)
	}
	if c != space {
		return 0
	}
	return w.blank(s)
}

// led matches a word with an optional character before it, or returns 0.
func (w *words) led(s string, c class, width int) int {
	if c&w.lead == 0 || s[0] == '\r' || s[0] == '\n' {
		width = 0
	}
	for _, word := range [2]wordShape{w.word, w.otherwise} {
		if word == nil {
			break
		}
		if end := word(s, width, w.alphabet); end > width {
			return end
		}
		if width > 0 {
			if end := word(s, 0, w.alphabet); end > 0 {
				return end
			}
		}
	}
	return 0
}

// breaksAfter returns the end of the line breaks that follow signs at s[end].
func (w *words) breaksAfter(s string, end int) int {
	all := end
	for all < len(s) && (s[all] == '\n' || s[all] == '\r' || w.slash && s[all] == '/') {
		all++
	}
	switch w.breaks {
	case allBreaks:
		return all
	case oneBreak:
		return min(all, end+1)
	default:
		return end
	}
}

// blank matches \s*[\r\n]+|\s+(?!\S)|\s+ at white space.
func (w *words) blank(s string) int {
	if w.breaks == loneBreaks && (s[0] == '\r' || s[0] == '\n') {
		return 1
	}
	end := span(s, 0, space)
	if w.breaks != loneBreaks {
		if last := strings.LastIndexAny(s[:end], "\r\n"); last >= 0 {
			return last + 1
		}
	}
	return blankEnd(s, end)
}

// blankEnd matches \s+(?!\S)|\s+ where a run of white space ends at s[end]: its
// last character is left to what follows.
func blankEnd(s string, end int) int {
	if end == len(s) {
		return end
	}
	last := end - 1
	for last > 0 && s[last]&0xC0 == 0x80 {
		last--
	}
	if last == 0 {
		return end
	}
	return last
}

// contraction returns the length of the English contraction that s begins with,
// or 0. With fold, capitals count too.
func contraction(s string, fold bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	var flip byte
	if fold {
		flip = 'a' - 'A'
	}
	a := s[1] | flip
	switch a {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) < 3 {
		return 0
	}
	switch b := s[2] | flip; {
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return 3
	}
	return 0
}

// mixedCase is a word that ends before an ASCII capital which follows a small
// letter; letters outside ASCII are both. It has a letter that isn't a capital:
//
//	[alphabet without a-z]*[alphabet without A-Z]+
func mixedCase(s string, i int, alphabet class) int {
	end := capitals(s, i, alphabet)
	if tail := smalls(s, end, alphabet); tail > end {
		return tail
	}
	for end > i && s[end-1] < 0x80 { // give capitals back
		end--
	}
	return end
}

// capitals is the end of [alphabet without a-z]* at s[i].
func capitals(s string, i int, alphabet class) int {
	return unlessASCII(s, i, alphabet, 'a', 'z')
}

// smalls is the end of [alphabet without A-Z]* at s[i].
func smalls(s string, i int, alphabet class) int {
	return unlessASCII(s, i, alphabet, 'A', 'Z')
}

func unlessASCII(s string, i int, alphabet class, lo, hi byte) int {
	for i < len(s) && (s[i] < lo || s[i] > hi) {
		next := one(s, i, alphabet)
		if next == i {
			break
		}
		i = next
	}
	return i
}

// phrase is letters with their marks, joined by single spaces.
func phrase(s string, i int, _ class) int {
	end := one(s, i, letter)
	for end > i {
		i = span(s, end, letter|mark)
		if i == len(s) || s[i] != ' ' {
			return i
		}
		if end = one(s, i+1, letter); end == i+1 {
			return i
		}
	}
	return i
}
