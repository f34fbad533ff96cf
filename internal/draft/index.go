// Package draft guesses the tokens that a model will generate next, and says how many
// guesses are worth their rows in a step. Texts repeat themselves: whoever rewrites a
// file, quotes or fills in a form writes what stands before. A guess that is right
// saves a step, and one that is wrong changes nothing, because the model has the last
// word on every token. The package knows no model, no scheduler and no clock; package
// engine asks it between two steps. Nothing allocates after New.
//
// Reading order: index.go, record.go, costs.go.
package draft

const (
	// gram is the number of tokens that have to agree for a place to be considered.
	gram = 3
	// places is the number of places that are compared for one guess.
	places = 48
	// likely and certain are the lengths of matches from which on guesses are Medium and Long.
	likely, certain = 5, 10
	// longest is the length from which on matches count as equally good.
	longest = 24
	// near is how far behind the place that was copied last a copy may go on after it
	// broke off, and lasting for how many tokens that place is remembered.
	near, lasting = 24, 12
)

// Class is how sure a guess is, by what it is based on.
type Class uint8

// The classes.
const (
	Near    Class = iota // a copy that broke off goes on where the last token comes next in its source
	Short                // 3 or 4 tokens agree
	Medium               // 5 to 9
	Long                 // 10 and more
	Model                // a smaller model says so
	Classes int   = iota
)

// Index finds the places of a text where its last tokens stood before. It holds
// positions only: the text is the caller's, and only grows. Of a text that is longer
// than its window it forgets the beginning.
type Index struct {
	last []int32 // [power of two] by hash: one more than the position where such a gram ended last; 0: none
	prev []int32 // [window] at position mod window: the same for the gram before that one
	seen int     // positions that are in the index

	source int // position whose token was copied last, -1: none
	at     int // length of the text when it was
}

// New makes an index over the last tokens of a text, window of them or a few more.
func New(window int) *Index {
	size := 64
	for size < window {
		size *= 2
	}
	return &Index{last: make([]int32, size), prev: make([]int32, size), source: -1}
}

// Reset makes the index one over another text.
func (x *Index) Reset() {
	clear(x.last)
	x.seen, x.source, x.at = 0, -1, 0
}

func (x *Index) hash(text []int32, end int) int {
	h := uint64(uint32(text[end-2]))*0x9e3779b97f4a7c15 + uint64(uint32(text[end-1]))
	h = (h^h>>29)*0xff51afd7ed558ccd + uint64(uint32(text[end]))
	h *= 0x9e3779b97f4a7c15
	return int(h >> 32 & uint64(len(x.last)-1))
}

// Guess writes into guess the tokens that are likeliest to follow the text, as many as
// it has room for, and says how many there are and how sure they are. It takes in what
// was added to the text since the last call.
func (x *Index) Guess(text, guess []int32) (n int, sure Class) {
	end := len(text) - 1 // position of the last token
	x.add(text, end)
	if len(guess) == 0 || end < gram {
		return 0, 0
	}
	place, length := x.find(text, end)
	switch {
	case length >= certain:
		sure = Long
	case length >= likely:
		sure = Medium
	case length >= gram:
		sure = Short
	default:
		if place = x.resume(text, end); place < 0 {
			return 0, 0
		}
	}
	if length >= likely || x.at+lasting < len(text) {
		x.source, x.at = place, len(text)
	}
	for n < len(guess) {
		if from := place + 1 + n; from <= end {
			guess[n] = text[from]
		} else {
			guess[n] = guess[from-end-1] // the text repeats what is being guessed
		}
		n++
	}
	return n, sure
}

// add takes in the grams that end before a position.
func (x *Index) add(text []int32, end int) {
	mask := len(x.prev) - 1
	for i := max(x.seen, gram-1, end-len(x.prev)); i < end; i++ {
		head := &x.last[x.hash(text, i)]
		x.prev[i&mask] = *head
		*head = int32(i + 1)
	}
	x.seen = max(x.seen, end)
}

// find is the place that ends with the longest run of the tokens that the text ends
// with, and of several the last. The place after the one that was copied last goes
// first, so that a copy does not leave its source.
func (x *Index) find(text []int32, end int) (place, length int) {
	place = -1
	if next := x.source + len(text) - x.at; x.source >= 0 && next < end {
		if n := agreeing(text, next, end); n >= gram {
			place, length = next, n
		}
	}
	mask := len(x.prev) - 1
	at := int(x.last[x.hash(text, end)]) - 1
	for range places {
		if at < 0 || at <= end-len(x.prev) || length >= longest {
			break
		}
		if n := agreeing(text, at, end); n > length {
			place, length = at, n
		}
		next := int(x.prev[at&mask]) - 1
		if next >= at {
			break // a newer gram has taken the entry
		}
		at = next
	}
	if length < gram {
		return -1, 0
	}
	return place, length
}

// resume is where a copy that broke off a few tokens ago goes on: at the first place
// behind its source with the text's last token. -1: there is none.
func (x *Index) resume(text []int32, end int) int {
	if x.source < 0 || len(text) > x.at+lasting {
		return -1
	}
	for at := x.source + 1; at < min(end, x.source+1+near); at++ {
		if text[at] == text[end] {
			return at
		}
	}
	return -1
}

// agreeing is the number of tokens, up to longest, that are the same before and at two
// positions.
func agreeing(text []int32, at, end int) int {
	n := 0
	for n < longest && n <= at && text[at-n] == text[end-n] {
		n++
	}
	return n
}
