// Package engine runs requests: one goroutine owns the scheduler, the model and
// the samplers, and takes step after step while there is work.
//
//	Submit -> bounded inbox -> [ guess, schedule, forward, aborts, sample, update, publish ] -> Stream.Next
//
// Token ids go in and token ids come out; text, stop strings and HTTP are
// package server's. Nothing outside can hold up a step: a stream is a ring that
// its reader empties when it likes, an abort is a flag that the step looks at
// between the forward pass and its outputs, statistics are atomics. A steady
// step allocates nothing and takes no lock. Before an idle engine sleeps it asks
// the system for the memory that the next requests will use. An engine whose steps
// panic again and again restarts itself.
//
// Reading order: request.go, stream.go, step.go, sampling.go, drafts.go, draftmodel.go, engine.go, restart.go.
package engine
