// Package browser tests the page at /ui/ in Chromium, as a person uses it: it
// clicks, types and drops files. The server is the real one; the model is played by
// a script, which answers each message as the test has it. `make browser` runs it,
// and makes the pictures of the documents.
package browser
