package openapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/penstock-llm/penstock/internal/access"
	"github.com/penstock-llm/penstock/internal/engine"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

// failures are what a route may answer instead of a success: one error for each
// status.
func failures(r serving.Route) []*serving.Error {
	c := r.Contract
	_, names := address(r.Path)
	var list []*serving.Error
	add := func(when bool, e *serving.Error) {
		if when {
			list = append(list, e)
		}
	}
	body := c.Takes != nil
	add(body || limited(c.Query), serving.Bad("field", "field must be between 0 and 1"))
	add(!r.Public, serving.Unauthorized())
	add(true, serving.Forbidden("web pages of %q may not use this server; --allowed-origins lists those that may", "https://example.org"))
	add(body || len(names) > 0 && !c.Refused, serving.NoModel("other", []string{"smollm2"}))
	add(body, serving.BodyTooSlow())
	add(body, serving.BodyTooLarge(8<<20))
	add(body, serving.UnsupportedType("text/plain"))
	add(c.Runs, serving.FromEngine(engine.ErrQueueFull))
	add(c.Runs, serving.OverLimit(&access.Key{Name: "alice"}, &access.Refusal{Limit: "requests-per-minute", Max: 60}))
	add(c.Runs, serving.FromEngine(context.DeadlineExceeded))
	add(true, serving.Internal(errors.New("")))
	add(!r.Public && !r.Metrics, serving.Loading())
	for _, status := range c.Also {
		add(status >= 400, &serving.Error{Status: status, Message: reason(status)})
	}
	// What the protocol turns into one status is one entry.
	slices.SortStableFunc(list, func(a, b *serving.Error) int { return a.Status - b.Status })
	return list
}

func reason(status int) string { return http.StatusText(status) }

// shaped is an error as a protocol writes it.
func shaped(shape serving.Shape, e *serving.Error) (status int, body []byte) {
	p := page{header: http.Header{}}
	shape(&p, e)
	return p.status, p.body
}

// page keeps what is written to it.
type page struct {
	header http.Header
	status int
	body   []byte
}

func (p *page) Header() http.Header    { return p.header }
func (p *page) WriteHeader(status int) { p.status = status }

func (p *page) Write(b []byte) (int, error) {
	p.body = append(p.body, b...)
	return len(b), nil
}

// limited tells whether a name in the address's query may have some values only.
func limited(query map[string][]string) bool {
	for _, values := range query {
		if values != nil {
			return true
		}
	}
	return false
}
