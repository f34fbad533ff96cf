package tokenizer

import (
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// bpe joins the symbols of a piece of text in the order in which the vocabulary
// learned its merges. Symbols are the tokens and, with higher numbers, those
// strings of the merges that are no token. Vocabularies write bytes in an
// alphabet of their own (Ġ is a space); here they are bytes, so that text need
// not be rewritten.
type bpe struct {
	scheme
	tokens  int32 // symbols below are tokens
	symbols map[string]int32
	pairs   map[uint64]pair // left<<32 | right
	single  [256]int32      // symbol of a byte, unless the scheme says rawText
	spelled [256]int32      // token for a byte that is left in no token, or noSymbol
	mergers sync.Pool       // of *merger
	whole   []atomic.Uint32 // a bit for each token whose text, as a piece, was seen to become that token
}

// pair is the symbol that two symbols become, and the rank of their merge.
type pair struct {
	symbol int32
	rank   uint32
}

// newBPE builds the encoder of a vocabulary. keys are the bytes of text that each
// token stands for; a token with an empty key is never used.
func newBPE(keys, merges []string, s scheme) *bpe {
	b := &bpe{
		scheme: s, tokens: int32(len(keys)),
		symbols: make(map[string]int32, len(keys)),
		pairs:   make(map[uint64]pair, len(merges)),
		whole:   make([]atomic.Uint32, len(keys)/32+1),
	}
	b.mergers.New = func() any { return new(merger) }
	for id, key := range keys {
		if key != "" {
			b.symbols[key] = int32(id)
		}
	}
	b.learn(merges)
	for i := range b.single {
		b.single[i] = b.symbol(string([]byte{byte(i)}))
		b.spelled[i] = noSymbol
		if s.rawText {
			b.spelled[i] = b.token(byteName(byte(i)))
		} else if i > ' ' && i < 0x7f {
			b.spelled[i] = b.token(string([]byte{byte(i)}))
		}
	}
	return b
}

// learn reads the merges, of which each is two strings with a space between.
func (b *bpe) learn(merges []string) {
	next := b.tokens
	number := func(text []byte) int32 {
		n, ok := b.symbols[string(text)]
		if !ok {
			n = next
			next++
			b.symbols[string(text)] = n
		}
		return n
	}
	var buf []byte
	for rank, merge := range merges {
		if len(merge) < 2 {
			continue
		}
		space := strings.IndexByte(merge[1:], ' ') + 1
		if space == 0 {
			continue
		}
		var ok bool
		if buf, ok = b.key(buf[:0], merge[:space]); !ok {
			continue
		}
		middle := len(buf)
		if buf, ok = b.key(buf, merge[space+1:]); !ok {
			continue
		}
		key := pairKey(number(buf[:middle]), number(buf[middle:]))
		if _, ok := b.pairs[key]; !ok {
			b.pairs[key] = pair{number(buf), uint32(rank)}
		}
	}
}

// key appends what a string of the vocabulary looks like in a piece of text. It
// is false for strings that no piece contains.
func (s *scheme) key(dst []byte, text string) ([]byte, bool) {
	if s.rawText {
		return append(dst, text...), true
	}
	return appendBytes(dst, text)
}

// symbol returns the symbol of a string, or noSymbol.
func (b *bpe) symbol(s string) int32 {
	if n, ok := b.symbols[s]; ok {
		return n
	}
	return noSymbol
}

// token returns the token of a string, or noSymbol.
func (b *bpe) token(s string) int32 {
	if n, ok := b.symbols[s]; ok && n < b.tokens {
		return n
	}
	return noSymbol
}

// encode appends the tokens of text.
func (b *bpe) encode(dst []int32, text string, most int) []int32 {
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // U+FFFD for every stray byte
	}
	if b.rawText {
		text = strings.ReplaceAll(text, " ", blankMark)
	}
	m := b.mergers.Get().(*merger)
	b.stages.split(text, func(piece string) bool {
		dst = b.piece(dst, piece, m)
		return len(dst) <= most
	})
	m.release(&b.mergers)
	return dst
}

// piece appends the tokens of a piece. Most pieces are words that are a token as
// a whole. Nearly always the merges lead to that token; the first time, they are
// run to see whether they do, and b.whole remembers it.
func (b *bpe) piece(dst []int32, piece string, m *merger) []int32 {
	id := b.token(piece)
	if id == noSymbol {
		return b.merge(dst, piece, m)
	}
	bit := uint32(1) << (id % 32)
	if b.ignoreMerges || b.newlines && piece[0] == '\n' || b.whole[id/32].Load()&bit != 0 {
		return append(dst, id)
	}
	from := len(dst)
	dst = b.merge(dst, piece, m)
	if len(dst) == from+1 && dst[from] == id {
		b.whole[id/32].Or(bit)
	}
	return dst
}

// merge appends the tokens that the symbols of a piece become.
func (b *bpe) merge(dst []int32, piece string, m *merger) []int32 {
	m.reset()
	if b.rawText {
		for i := 0; i < len(piece); {
			_, width := utf8.DecodeRuneInString(piece[i:])
			m.add(b.symbol(piece[i:i+width]), i)
			i += width
		}
	} else {
		for i := range len(piece) {
			m.add(b.single[piece[i]], i)
		}
	}
	m.run(piece, b)
	for symbol, text := range m.all(piece) {
		if symbol >= 0 && symbol < b.tokens {
			dst = append(dst, symbol)
		} else {
			dst = b.spell(dst, text)
		}
	}
	return dst
}

// spell appends the tokens of the bytes of a symbol that is no token itself;
// bytes without a token are lost.
func (b *bpe) spell(dst []int32, symbol string) []int32 {
	for i := range len(symbol) {
		if id := b.spelled[symbol[i]]; id != noSymbol {
			dst = append(dst, id)
		}
	}
	return dst
}

func (b *bpe) join(left, right int32, _ string) (int32, uint32) {
	if p, ok := b.pairs[pairKey(left, right)]; ok {
		return p.symbol, p.rank
	}
	return noSymbol, 0
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// byteOf is the alphabet in which byte-level vocabularies write bytes: those
// that print stand for themselves, the others are written from U+0100 on, in
// order. Characters outside the alphabet have -1.
var byteOf = newByteAlphabet()

func newByteAlphabet() (bytes [0x144]int16) {
	for i := range bytes {
		bytes[i] = -1
	}
	next := 0x100
	for i := range 256 {
		if i <= ' ' || i >= 0x7f && i <= 0xa0 || i == 0xad {
			bytes[next] = int16(i)
			next++
		} else {
			bytes[i] = int16(i)
		}
	}
	return bytes
}

// appendBytes appends the bytes that text writes in the byte alphabet. It is
// false if text has other characters.
func appendBytes(dst []byte, text string) ([]byte, bool) {
	for _, r := range text {
		if int(r) >= len(byteOf) || byteOf[r] < 0 {
			return dst, false
		}
		dst = append(dst, byte(byteOf[r]))
	}
	return dst, true
}
