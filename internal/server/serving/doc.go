// Package serving is what all protocols of the server share: one generation from
// prompt to text, the errors and their statuses, reading bodies, checking
// parameters, and writing event streams.
//
// It knows no protocol: the packages beside it (openai, native, llamaserver)
// decode their own requests, build a Job, and put the Deltas of its Generation
// into their own words. Routing and everything around a request is package
// server's.
//
// Reading order: job.go, generation.go, stops.go, sse.go, errors.go, call.go.
package serving
