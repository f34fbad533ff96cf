package tokenizer

import "unicode/utf8"

// Decoder turns tokens into text one by one. A character whose bytes are spread
// over several tokens comes out with the last of them, so that what has come
// out is always valid UTF-8. Bytes that are no character become U+FFFD.
type Decoder struct {
	t       *Tokenizer
	special bool
	strip   bool // the next token's leading space isn't text
	held    int  // bytes of partial in use
	partial [utf8.UTFMax]byte
}

// NewDecoder returns a decoder for the beginning of a text: where Encode puts a
// space before the text, the decoder takes it away. With special, the names of
// control tokens are part of the text.
func (t *Tokenizer) NewDecoder(special bool) *Decoder {
	return &Decoder{t: t, special: special, strip: t.stripsSpace}
}

// Resume tells the decoder that its tokens continue a text, as those of an
// answer continue the prompt, so that the first one keeps its space. It returns
// the decoder.
func (d *Decoder) Resume() *Decoder {
	d.strip = false
	return d
}

// Append appends the text that one more token makes complete.
func (d *Decoder) Append(dst []byte, id int32) []byte {
	if !d.t.valid(id) {
		return dst
	}
	piece := d.t.spellings.of(id)
	if d.t.attrs[id]&hidden != 0 {
		if !d.special {
			return dst
		}
	} else if d.strip {
		d.strip = false
		if piece != "" && piece[0] == ' ' {
			piece = piece[1:]
		}
	}
	if d.held == 0 && utf8.ValidString(piece) {
		return append(dst, piece...)
	}
	for i := range len(piece) {
		dst = d.feed(dst, piece[i])
	}
	return dst
}

// Flush appends what is left of a character that was never completed.
func (d *Decoder) Flush(dst []byte) []byte {
	if d.held > 0 {
		d.held = 0
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	return dst
}

// feed takes one more byte. What is held is always the beginning of some
// character.
func (d *Decoder) feed(dst []byte, b byte) []byte {
	d.partial[d.held] = b
	char := d.partial[:d.held+1]
	if !utf8.FullRune(char) {
		d.held++
		return dst
	}
	if utf8.Valid(char) {
		d.held = 0
		return append(dst, char...)
	}
	if d.held == 0 {
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return d.feed(d.Flush(dst), b)
}
