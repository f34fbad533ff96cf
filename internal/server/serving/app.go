package serving

import (
	"context"
	"sync/atomic"
	"time"
)

// App is what all requests share: the models and the limits.
type App struct {
	Version      string
	Models       Registry
	MaxBody      int64         // bytes of a request's body
	PingInterval time.Duration // of signs of life in a stream that has nothing to send; 0: none
	Started      time.Time
	timeout      atomic.Int64 // ns that a generation may take; 0: any
}

// SetRequestTimeout changes the time that a generation may take, from the next
// request on; 0: any.
func (a *App) SetRequestTimeout(d time.Duration) { a.timeout.Store(int64(d)) }

// Acquire returns the model that a request names; the caller must Release it.
func (c *Call) Acquire(name string) (*Lease, *Error) { return c.AcquireFor(name, nil) }

// AcquireFor is Acquire for a request whose answer is a stream, which shows that it
// is alive while the model is being loaded. o is nil if the answer is none.
func (c *Call) AcquireFor(name string, o *Opening) (*Lease, *Error) {
	if err := c.mayAsk(name); err != nil {
		return nil, err
	}
	p := pulse{}
	if o != nil {
		p = pulse{every: c.App.PingInterval, beat: func() *Error { return c.ping(o) }}
	}
	return c.App.Models.acquire(c.R.Context(), name, c.App.Models.OnDemand, p)
}

// Load loads a model if the client may use it, and waits until it is there.
func (c *Call) Load(name string) *Error {
	if err := c.mayAsk(name); err != nil {
		return err
	}
	return c.App.Models.Load(c.R.Context(), name)
}

// Unload has a model go, as Registry.Unload does, if the client may use it.
func (c *Call) Unload(name string) (gone bool, err *Error) {
	if err := c.mayAsk(name); err != nil {
		return false, err
	}
	return c.App.Models.Unload(c.R.Context(), name)
}

// Expire has a model go when nobody uses it, as Registry.Expire does, if the client
// may use it.
func (c *Call) Expire(name string) (gone bool, err *Error) {
	if err := c.mayAsk(name); err != nil {
		return false, err
	}
	return c.App.Models.Expire(c.R.Context(), name)
}

// Open decodes the body into dst and acquires the model that it names, in the
// field of dst that model points to. The caller must Release the model.
func (c *Call) Open(dst any, model *string) (*Lease, *Error) {
	if err := c.Decode(dst); err != nil {
		return nil, err
	}
	return c.Acquire(*model)
}

// Context is the request's, which ends with the client's connection, with the
// time that a generation may take.
func (c *Call) Context() (context.Context, context.CancelFunc) {
	limit := time.Duration(c.App.timeout.Load())
	if limit <= 0 {
		return c.R.Context(), func() {}
	}
	return context.WithTimeout(c.R.Context(), limit)
}
