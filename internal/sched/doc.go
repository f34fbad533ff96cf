// Package sched decides what the next step computes. It is a pure state
// machine: no clock, no goroutine, no lock, no float, no logging, and no
// tensor; it knows block ids, never their content. Package engine drives it:
//
//	plan := s.Schedule(budget)     // who computes how many rows
//	tokens, starts := run(plan)    // the only slow thing
//	s.Update(plan, tokens, starts) // who got which tokens, who has ended
//
// There is no prefill phase and no decode phase. Every sequence has tokens that
// exist and tokens that are computed, and a step hands out rows so that the
// second catches up with the first. A prompt in chunks, a decoding stream, a
// prefix hit and a sequence that lost its blocks are all the same rule.
//
// The order of a step: decoding streams first, oldest first; then waiting
// requests join while there are slots and blocks; then prompts share what is
// left of the step's rows. When blocks run out, the youngest sequence of the
// lowest class loses its own and is computed again later.
//
// A decoding stream may come with a draft, a guess of its next tokens: these get rows
// beside its last token's, and the stream is given as many as were guessed right.
//
// For encoders, whose tokens see the whole of their text, one rule is different: a
// prompt is computed in one step, whole, as many prompts as the step has rows for.
//
// Layers that see only the last positions have blocks of their own, of which a
// sequence keeps those that its next rows see.
//
// Blocks can also be filled from elsewhere than by a step: restore.go sets them aside and
// makes them findable.
//
// Reading order: sequence.go, scheduler.go, draft.go, prompts.go, queue.go, pool.go,
// blocks.go, windows.go, restore.go; survey.go and contents.go for those who look on.
// The scripts in testdata show each rule at work.
package sched
