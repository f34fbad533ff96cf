package schema

import (
	"math/big"
	"strings"

	"github.com/penstock-llm/penstock/internal/grammar/regex"
)

// numbers makes the languages of numbers. Each is closed under writing the same value otherwise (1, 1.0, 1.00; 0, -0), so that
// the complement of a language among the plain numbers is the language of the other values. Numbers with an exponent are written
// only where a schema says nothing about their value.
type numbers struct {
	*regex.Set
	digit, digits    regex.ID // one; any number of them
	fraction         regex.ID // . and digits, or nothing
	zeros            regex.ID // . and zeros, or nothing
	positive, plain  regex.ID // without an exponent; positive ones include 0
	zero, whole, any regex.ID // 0 or -0; integers; with exponents
	bare             regex.ID // integers without a fraction
}

func newNumbers(s *regex.Set) *numbers {
	n := &numbers{Set: s}
	n.digit = s.ByteRange('0', '9')
	n.digits = s.Star(n.digit)
	n.fraction = s.Opt(s.Concat(s.Literal("."), s.Plus(n.digit)))
	n.zeros = s.Opt(s.Concat(s.Literal("."), s.Plus(s.Literal("0"))))
	integer := s.Or(s.Literal("0"), s.Concat(s.ByteRange('1', '9'), n.digits))
	minus := s.Opt(s.Literal("-"))
	n.positive = s.Concat(integer, n.fraction)
	n.plain = s.Concat(minus, n.positive)
	n.zero = s.Concat(minus, s.Literal("0"), n.zeros)
	n.bare = s.Concat(minus, integer)
	n.whole = s.Concat(n.bare, n.zeros)
	exponent := s.Concat(s.Or(s.Literal("e"), s.Literal("E")), s.Opt(s.Or(s.Literal("+"), s.Literal("-"))), s.Plus(n.digit))
	n.any = s.Concat(n.plain, s.Opt(exponent))
	return n
}

// complement is the plain numbers that x does not have.
func (n *numbers) complement(x regex.ID) regex.ID {
	switch x {
	case regex.All:
		return regex.Empty
	case regex.Empty:
		return regex.All
	}
	return n.And(n.plain, n.Not(x))
}

func (n *numbers) negative(x regex.ID) regex.ID { return n.Concat(n.Literal("-"), x) }

// from is the numbers of at least x, or above x.
func (n *numbers) from(x *big.Rat, strict bool) regex.ID {
	switch x.Sign() {
	case 1:
		whole, fraction := decimal(x)
		return n.atLeast(whole, fraction, strict)
	case 0:
		if strict {
			return n.And(n.positive, n.Not(n.zero))
		}
		return n.Or(n.positive, n.zero)
	}
	// A negative number is at least x if its digits are at most those of x.
	whole, fraction := decimal(new(big.Rat).Neg(x))
	beyond := n.atLeast(whole, fraction, !strict)
	return n.Or(n.positive, n.negative(n.And(n.positive, n.Not(beyond))))
}

// to is the numbers of at most x, or below x.
func (n *numbers) to(x *big.Rat, strict bool) regex.ID {
	return n.And(n.plain, n.Not(n.from(x, !strict)))
}

// decimal writes a positive number: its digits before the point and those behind, without zeros at the end.
func decimal(x *big.Rat) (whole, fraction string) {
	places, _ := x.FloatPrec()
	text := x.FloatString(places)
	whole, fraction, _ = strings.Cut(text, ".")
	return whole, strings.TrimRight(fraction, "0")
}

// atLeast is the positive numbers of at least, or above, a positive number.
func (n *numbers) atLeast(whole, fraction string, strict bool) regex.ID {
	// From the right: what may follow when all digits before were equal.
	rest := n.behindPoint(fraction, strict)
	for i := len(whole) - 1; i >= 0; i-- {
		after := len(whole) - 1 - i
		more := regex.Empty
		if whole[i] < '9' {
			more = n.Concat(n.ByteRange(whole[i]+1, '9'), n.Repeat(n.digit, after, after), n.fraction)
		}
		rest = n.Or(more, n.Concat(n.Literal(whole[i:i+1]), rest))
	}
	longer := n.Concat(n.ByteRange('1', '9'), n.Repeat(n.digit, len(whole), regex.Unbounded), n.fraction)
	return n.Or(rest, longer)
}

// behindPoint is the fractions, point included, of at least or above the given digits.
func (n *numbers) behindPoint(fraction string, strict bool) regex.ID {
	rest := n.digits
	if strict {
		rest = n.Concat(n.digits, n.ByteRange('1', '9'), n.digits)
	}
	if fraction == "" {
		if strict {
			return n.Concat(n.Literal("."), rest)
		}
		return n.fraction
	}
	for i := len(fraction) - 1; i >= 0; i-- {
		more := regex.Empty
		if fraction[i] < '9' {
			more = n.Concat(n.ByteRange(fraction[i]+1, '9'), n.digits)
		}
		rest = n.Or(more, n.Concat(n.Literal(fraction[i:i+1]), rest))
	}
	return n.Concat(n.Literal("."), rest)
}

// value is all plain ways to write one number.
func (n *numbers) value(x *big.Rat) regex.ID {
	if x.Sign() == 0 {
		return n.zero
	}
	whole, fraction := decimal(new(big.Rat).Abs(x))
	out := n.Concat(n.Literal(whole), n.zeros)
	if fraction != "" {
		out = n.Concat(n.Literal(whole+"."+fraction), n.Star(n.Literal("0")))
	}
	if x.Sign() < 0 {
		out = n.negative(out)
	}
	return out
}

// maxEndings bounds the list of endings that tell a multiple.
const maxEndings = 2000

// multiples is the multiples of a positive number. The number times ten to the power of places is the whole number unit.
func (n *numbers) multiples(x *big.Rat) (regex.ID, bool) {
	places, exact := x.FloatPrec()
	if !exact {
		return regex.Empty, false
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	scaled := new(big.Rat).Mul(x, new(big.Rat).SetInt(scale)).Num()
	if !scaled.IsInt64() || scaled.Int64() > 1<<30 || places > 30 {
		return regex.Empty, false
	}
	unit := int(scaled.Int64())
	minus := n.Opt(n.Literal("-"))
	if unit*(places+2) <= regex.MaxMultiple {
		return n.And(n.plain, n.Concat(minus, n.Multiple(unit, places))), true
	}
	if length, ok := endingLength(unit, places); ok {
		return n.And(n.plain, n.Concat(minus, n.endings(unit, places, length))), true
	}
	return regex.Empty, false
}

// endingLength is how many digits at the end of a whole number tell whether unit divides it.
func endingLength(unit, places int) (int, bool) {
	power := 1
	for length := 0; length <= 8; length++ {
		if power%unit == 0 && length >= places {
			return length, power/unit <= maxEndings
		}
		power *= 10
	}
	return 0, false
}

// endings is the unsigned numbers whose last digits, places of them behind the point, are those of a multiple of unit.
func (n *numbers) endings(unit, places, length int) regex.ID {
	power := 1
	for range length {
		power *= 10
	}
	var out []regex.ID
	for m := 0; m < power; m += unit {
		digits := ""
		if length > 0 {
			digits = big.NewInt(int64(m + power)).String()[1:] // with the zeros before
		}
		whole, fraction := digits[:length-places], strings.TrimRight(digits[length-places:], "0")
		end := n.zeros
		if fraction != "" {
			end = n.Concat(n.Literal("."+fraction), n.Star(n.Literal("0")))
		}
		short := strings.TrimLeft(whole, "0")
		if short == "" {
			short = "0"
		}
		before := n.Concat(n.digits, n.Literal(whole))
		if whole == "" {
			before = n.Plus(n.digit)
		}
		out = append(out, n.Concat(n.Or(n.Literal(short), before), end))
	}
	return n.Or(out...)
}

// number reads a keyword about numbers.
func (c *compiler) number(n *node, keyword string) regex.ID {
	switch keyword {
	case "type":
		ok, integer := declares(n, isNumber)
		switch {
		case integer && n.oldest():
			return c.num.bare
		case integer:
			return c.num.whole
		case ok:
			return regex.All
		}
		return regex.Empty
	case "enum", "const":
		var out []regex.ID
		for _, v := range listed(n, keyword, isNumber) {
			x, ok := v.number()
			if !ok {
				fail(n, keyword, "the number %.40s is too long", v.text)
			}
			out = append(out, c.num.value(x))
		}
		return c.set.Or(out...)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return c.bound(n, keyword)
	}
	return regex.All
}

func (c *compiler) bound(n *node, keyword string) regex.ID {
	v := n.v.get(keyword)
	if v.kind == kindBool && strings.HasPrefix(keyword, "exclusive") {
		return regex.All // draft 4: the flag of minimum and maximum
	}
	x, ok := v.number()
	if !ok {
		fail(n, keyword, "must be a number of less than 400 digits")
	}
	flag := func(name string) bool {
		f := n.v.get(name)
		return f != nil && f.kind == kindBool && f.truth
	}
	switch keyword {
	case "minimum":
		return c.num.from(x, flag("exclusiveMinimum"))
	case "exclusiveMinimum":
		return c.num.from(x, true)
	case "maximum":
		return c.num.to(x, flag("exclusiveMaximum"))
	case "exclusiveMaximum":
		return c.num.to(x, true)
	}
	if x.Sign() <= 0 {
		fail(n, keyword, "must be above 0")
	}
	out, ok := c.num.multiples(x)
	if !ok {
		fail(n, keyword, "multiples of %.40s are not served; those of whole numbers up to 32768 and of decimals of few digits are", v.text)
	}
	return out
}
