package tokenizer

// A splitter cuts a text into pieces and emits them in order; together the
// pieces are the text again. It takes time linear in the text. It stops when
// emit returns false, and reports whether it came to the end.
type splitter func(text string, emit func(piece string) bool) bool

// A pretokenizer splits a text before BPE, which never merges across its
// pieces. Every stage splits the pieces of the stage before it.
//
// Tokenizers publish these rules as regular expressions. Here each is a scanner
// of its own: a backtracking matcher takes quadratic time on some text.
type pretokenizer []splitter

func (p pretokenizer) split(text string, emit func(piece string) bool) {
	for i := len(p) - 1; i >= 0; i-- {
		stage, next := p[i], emit
		emit = func(piece string) bool { return stage(piece, next) }
	}
	emit(text)
}

// cut is a splitter whose pieces follow one another without gaps: first says
// how long the first piece of a non-empty text is.
func cut(first func(s string) int) splitter {
	return func(text string, emit func(string) bool) bool {
		for len(text) > 0 {
			n := first(text)
			if !emit(text[:n]) {
				return false
			}
			text = text[n:]
		}
		return true
	}
}

// isolate is a splitter whose pieces are the matches of a pattern and the text
// between them: find says where the next match in s is, or returns len(s) twice.
func isolate(find func(s string) (start, end int)) splitter {
	return func(text string, emit func(string) bool) bool {
		for len(text) > 0 {
			start, end := find(text)
			if start > 0 && !emit(text[:start]) {
				return false
			}
			if end > start && !emit(text[start:end]) {
				return false
			}
			text = text[end:]
		}
		return true
	}
}
