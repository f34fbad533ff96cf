package tokenizer

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"
)

// normalizer rewrites text as a unigram vocabulary wants it: with the
// replacements of its compiled character map, and spaces as ▁.
type normalizer struct {
	nodes        []uint32 // the map's double-array trie
	replacements string   // each ends with a zero byte
	verbatim     trie     // of the tokens that the map leaves alone
	prefix       bool     // a space comes before the text
	merge        bool     // white space at the ends goes, elsewhere it is one space
}

// Of a trie node, which leads on to the node at (its own number ^ base ^ byte):
// bits 0-7 and 31 are the byte that leads to it, bit 8 says that a match ends
// here, bits 10-30 are the base, shifted left by 8 if bit 9 is set. A leaf's
// bits 0-30 are where the replacement begins.
const (
	nodeLabel = 1<<31 | 0xff
	nodeMatch = 1 << 8
	nodeWide  = 1 << 9
	leafValue = 1<<31 - 1
)

func nodeBase(node uint32) uint32 { return node >> 10 << (node & nodeWide >> 6) }

var errCharsmap = errors.New("tokenizer.ggml.precompiled_charsmap is damaged")

// load reads a compiled map: the size of the trie, the trie, the replacements.
func (n *normalizer) load(charsmap []int64) error {
	if len(charsmap) == 0 {
		return nil
	}
	data := make([]byte, len(charsmap))
	for i, b := range charsmap {
		data[i] = byte(b)
	}
	if len(data) < 4 {
		return errCharsmap
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	if 4+size >= uint64(len(data)) || data[len(data)-1] != 0 {
		return errCharsmap
	}
	for at := uint64(4); at+4 <= 4+size; at += 4 {
		n.nodes = append(n.nodes, binary.LittleEndian.Uint32(data[at:]))
	}
	n.replacements = string(data[4+size:])
	return nil
}

// normalize returns the text to tokenize.
func (n *normalizer) normalize(text string) string {
	var out strings.Builder
	out.Grow(len(text) + len(text)/2)
	inWord, prefixed := false, false
	for len(text) > 0 {
		replacement, length := n.replace(text)
		for i := range len(replacement) {
			switch c := replacement[i]; {
			case c != ' ':
				if !inWord && (n.merge || n.prefix && !prefixed) {
					out.WriteString(blankMark)
					prefixed = true
				}
				inWord = true
				out.WriteByte(c)
			case !n.merge:
				out.WriteString(blankMark)
				inWord = false
			default:
				inWord = false
			}
		}
		text = text[length:]
	}
	return out.String()
}

// replace returns what the beginning of text becomes, and how long it is.
func (n *normalizer) replace(text string) (replacement string, length int) {
	if length := n.verbatim.path(text); length > 0 {
		return text[:length], length
	}
	if replacement, length := n.lookup(text); length > 0 {
		return replacement, length
	}
	r, width := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && width == 1 {
		return string(utf8.RuneError), 1
	}
	return text[:width], width
}

// lookup finds the longest match of the map at the beginning of text.
func (n *normalizer) lookup(text string) (replacement string, length int) {
	if len(n.nodes) == 0 {
		return "", 0
	}
	at := nodeBase(n.nodes[0])
	for i := 0; i < len(text) && text[i] != 0; i++ {
		at ^= uint32(text[i])
		if at >= uint32(len(n.nodes)) || n.nodes[at]&nodeLabel != uint32(text[i]) {
			break
		}
		node := n.nodes[at]
		at ^= nodeBase(node)
		if node&nodeMatch == 0 {
			continue
		}
		if at >= uint32(len(n.nodes)) {
			break
		}
		if start := n.nodes[at] & leafValue; start < uint32(len(n.replacements)) {
			end := strings.IndexByte(n.replacements[start:], 0)
			replacement, length = n.replacements[start:int(start)+end], i+1
		}
	}
	return replacement, length
}
