// Package clients judges the server with the official Go clients of the
// protocols that it speaks: what they read is compatible, whatever we think.
//
// The tests run the real binary with a small real model. They are a module of
// their own, so that nobody who builds the server downloads the clients. The
// suites of other languages are in the folders beside, and `make clients` runs
// all of them.
package clients
