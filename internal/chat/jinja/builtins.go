package jinja

import (
	"fmt"
	"strings"
)

// maxRange is the longest range that Jinja's sandbox allows.
const maxRange = 100_000

var builtins = map[string]*builtin{
	"range":           {callRange},
	"dict":            {callDict},
	"namespace":       {callNamespace},
	"raise_exception": {callRaise},
	"strftime_now":    {callStrftimeNow},
}

func callRange(_ *interp, a *args) Value {
	p := a.bind("range", 1, "start", "stop", "step")
	r := &span{0, intOr(p[0], 0, "range argument"), 1}
	if _, ok := p[1].(absent); !ok {
		r.start, r.stop = r.stop, intOr(p[1], 0, "range argument")
	}
	if r.step = intOr(p[2], 1, "range argument"); r.step == 0 {
		fail("range() arg 3 must not be zero")
	}
	const far = 1 << 62
	if r.start < -far || r.start > far || r.stop < -far || r.stop > far || r.step < -far || r.step > far || r.len() > maxRange {
		fail("range too big: the sandbox blocks ranges larger than %d", maxRange)
	}
	return r
}

func callDict(in *interp, a *args) Value {
	d := &Dict{}
	if len(a.pos) > 1 {
		fail("dict expected at most 1 argument, got %d", len(a.pos))
	}
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*Dict); ok {
			d = in.copyOf(from)
		} else {
			for _, pair := range in.iterate(need(a.pos[0])) {
				kv := in.iterate(pair)
				if len(kv) != 2 {
					fail("dictionary update sequence element has length %d; 2 is required", len(kv))
				}
				in.assign(d, kv[0], kv[1])
			}
		}
	}
	for i := range a.names {
		in.assign(d, a.key(i), a.named[i])
	}
	return d
}

func callNamespace(in *interp, a *args) Value {
	return &namespace{callDict(in, a).(*Dict)}
}

func callRaise(in *interp, a *args) Value {
	message := in.str(a.bind("raise_exception", 1, "message")[0])
	panic(failure{&RaisedError{message.s}})
}

func callStrftimeNow(in *interp, a *args) Value {
	format := in.strOr(a.bind("strftime_now", 1, "format")[0], "", "format")
	in.charge(256 * len(format)) // for the time that a directive takes, too
	return strftime(in, format)
}

// strftime is datetime.now().strftime(format) in the C locale.
func strftime(in *interp, format string) string {
	t := in.now()
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := byte('0')
		if (format[i] == '-' || format[i] == '_' || format[i] == '0') && i+1 < len(format) {
			pad = format[i]
			i++
		}
		num := func(n, width int) {
			switch pad {
			case '-':
				fmt.Fprintf(&b, "%d", n)
			case '_':
				fmt.Fprintf(&b, "%*d", width, n)
			default:
				fmt.Fprintf(&b, "%0*d", width, n)
			}
		}
		hour12 := (t.Hour()+11)%12 + 1
		year, week := t.ISOWeek()
		switch format[i] {
		case 'Y':
			num(t.Year(), 4)
		case 'C':
			num(t.Year()/100, 2)
		case 'y':
			num(t.Year()%100, 2)
		case 'm':
			num(int(t.Month()), 2)
		case 'd':
			num(t.Day(), 2)
		case 'e':
			fmt.Fprintf(&b, "%2d", t.Day())
		case 'H':
			num(t.Hour(), 2)
		case 'I':
			num(hour12, 2)
		case 'M':
			num(t.Minute(), 2)
		case 'S':
			num(t.Second(), 2)
		case 'j':
			num(t.YearDay(), 3)
		case 'f':
			num(t.Nanosecond()/1000, 6)
		case 'u':
			num((int(t.Weekday())+6)%7+1, 1)
		case 'w':
			num(int(t.Weekday()), 1)
		case 'U':
			num((t.YearDay()+6-int(t.Weekday()))/7, 2)
		case 'W':
			num((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2)
		case 'V':
			num(week, 2)
		case 'G':
			num(year, 4)
		default:
			b.WriteString(strftimeName(in, format[i]))
		}
	}
	return b.String()
}

// strftimeName formats the directives that are not one number.
func strftimeName(in *interp, c byte) string {
	t := in.now()
	layout, ok := map[byte]string{
		'A': "Monday", 'a': "Mon", 'B': "January", 'b': "Jan", 'h': "Jan", 'p': "PM", 'D': "01/02/06", 'x': "01/02/06",
		'T': "15:04:05", 'X': "15:04:05", 'F': "2006-01-02", 'R': "15:04", 'r': "03:04:05 PM", 'c': "Mon Jan _2 15:04:05 2006",
	}[c]
	switch {
	case ok:
		return t.Format(layout)
	case c == '%':
		return "%"
	case c == 'n':
		return "\n"
	case c == 't':
		return "\t"
	case c == 's':
		return fmt.Sprint(t.Unix())
	case c == 'P':
		return strings.ToLower(t.Format("PM"))
	case c == 'z' || c == 'Z':
		return "" // datetime.now() has no zone
	}
	return "%" + string(c)
}
