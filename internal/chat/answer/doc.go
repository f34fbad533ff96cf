// Package answer reads what a model wrote as the parts that protocols show
// apart: text, reasoning, and calls of the tools that the request offered.
//
// Every family of models writes calls in a way of its own. A Format knows one
// of them; Detect chooses it by the markers in the model's chat template. A
// Parser follows one answer while it is generated and gives out each part as
// soon as it is certain: text at once, a call when its name is known, its
// arguments in fragments. Where a call turns out not to be one before its name
// was given out, what was written is text.
//
// The package makes no prompts (package chat does), decodes no tokens and knows
// no protocol. Package server feeds it, between stop strings and the protocol's
// encoder.
//
// Reading order: parser.go, reader.go, format.go, then any of the formats:
// objects.go (JSON), tagged.go (XML-like), pythonic.go, gemma.go, harmony.go.
package answer
