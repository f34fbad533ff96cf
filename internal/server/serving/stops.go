package serving

import "bytes"

// stops looks for stop strings in a text that grows.
type stops struct {
	words   []string
	longest int
}

func newStops(words []string) stops {
	s := stops{words: words}
	for _, w := range words {
		s.longest = max(s.longest, len(w))
	}
	return s
}

// find returns the first stop string that ends in text[from:], or -1. What
// comes before from has been searched already.
func (s *stops) find(text []byte, from int) (at int, word string) {
	at = -1
	start := max(0, from-s.longest+1)
	for _, w := range s.words {
		// A match that ends at or before from would have been found earlier. One that
		// ends after it begins at most len(w)-1 bytes before it.
		lo := max(start, from-len(w)+1)
		i := bytes.Index(text[lo:], []byte(w))
		if i >= 0 && (at < 0 || lo+i < at) {
			at, word = lo+i, w
		}
	}
	return at, word
}

// held is how many bytes at the end of text may be the beginning of a stop
// string. They are held back until more text shows whether they are.
func (s *stops) held(text []byte) int {
	held := 0
	for _, w := range s.words {
		for n := min(len(w)-1, len(text)); n > held; n-- {
			if string(text[len(text)-n:]) == w[:n] {
				held = n
				break
			}
		}
	}
	return held
}
