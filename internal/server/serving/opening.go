package serving

import "net/http"

// Opening is how a stream begins whose model is still being loaded: with signs of
// life, before there is an answer.
type Opening struct {
	Framing Framing
	Voice   Voice
}

// Opens returns how a stream opens; nil if the client does not want a stream.
func Opens(streams bool, framing Framing, v Voice) *Opening {
	if !streams {
		return nil
	}
	return &Opening{framing, v}
}

// ping begins the stream where that has not happened yet, and sends a sign of life.
func (c *Call) ping(o *Opening) *Error {
	f := Frames{framing: o.Framing}
	o.Voice.Ping(&f)
	if f.err != nil {
		return Internal(f.err)
	}
	if c.opening == nil {
		c.opening = o
		c.beginStream(o.Framing)
	}
	return c.speak(&f)
}

// speak sends messages at once.
func (c *Call) speak(f *Frames) *Error {
	_, err := c.W.Write(f.Buf)
	if err == nil {
		err = http.NewResponseController(c.W).Flush()
	}
	if err != nil {
		return Gone()
	}
	return nil
}

// Tell tells the client of a stream that has only shown signs of life what has ended
// it. It reports whether there is such a stream.
func (c *Call) Tell(err *Error) bool {
	o := c.opening
	if o == nil {
		return false
	}
	c.opening = nil
	f := Frames{framing: o.Framing}
	if o.Voice.Fail(&f, err); f.err == nil {
		c.speak(&f) // a client that is gone is told nothing
	}
	return true
}
