package jinja

// markup is the result of |safe and |escape. It is a string, except that adding
// a plain string to it escapes that string for HTML, even with automatic
// escaping off. Templates that write '<tag>' + (x|safe) depend on it.
type markup string

// plain returns v as the string that it is in every other respect.
func plain(v Value) Value {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return v
}

// addMarkup is a + b when at least one of them is markup.
func (in *interp) addMarkup(a, b Value) (Value, bool) {
	am, aok := a.(markup)
	bm, bok := b.(markup)
	if !aok && !bok {
		return nil, false
	}
	as, astr := a.(string)
	bs, bstr := b.(string)
	if !aok && !astr || !bok && !bstr {
		return nil, false
	}
	if astr {
		am = markup(escaper.Replace(as))
	}
	if bstr {
		bm = markup(escaper.Replace(bs))
	}
	in.charge(len(am) + len(bm) + 4*(len(as)+len(bs)))
	return am + bm, true
}

// markupMethod calls a method of str and keeps its results markup.
func (in *interp) markupMethod(m markup, name string, a *args) Value {
	r := in.strMethod(string(m), name, a)
	if s, ok := r.(string); ok {
		return markup(s)
	}
	return r
}
