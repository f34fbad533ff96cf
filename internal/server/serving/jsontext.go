package serving

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendJSON appends text as a JSON string without the quotes. Text that is
// not UTF-8 comes out as U+FFFD.
func AppendJSON[T []byte | string](dst []byte, text T) []byte {
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, text[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		// T may be []byte, for which there is no generic decoder. Converting four bytes
		// to a string does not allocate: the compiler keeps so few on the stack.
		r, n := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		if r == utf8.RuneError && n == 1 {
			dst = append(append(dst, text[start:i]...), "\ufffd"...)
			start = i + 1
		}
		i += n
	}
	return append(dst, text[start:]...)
}

// AppendQuoted appends text as a JSON string.
func AppendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	dst = AppendJSON(dst, text)
	return append(dst, '"')
}

// Decimal is the shortest decimal that means the same float32: the 0.8 that was
// sent, not 0.800000012.
func Decimal(v float32) float64 {
	decimal, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	return decimal
}
