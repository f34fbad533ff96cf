// Package serving is what all protocols of the server share: the models that
// requests go to, one generation from prompt to text, the errors and their
// statuses, reading bodies, checking parameters, and writing streams.
//
// It knows no protocol. The packages beside it (openai, native, llamaserver and
// the others) decode their own requests, Acquire the model, build a Job, and put
// the Deltas of its Generation into their own words, as the Encoder of a Stream
// or as one answer. Routing and everything around a request is package server's.
//
// Reading order: registry.go (who may use which model), residence.go (how a model is
// loaded and unloaded), memory.go (who has to go for it), job.go, intake.go, generation.go, stops.go,
// stream.go, errors.go, call.go.
package serving
