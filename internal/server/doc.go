// Package server is Penstock's HTTP front end: routes, keys, CORS, request ids,
// health, metrics, draining, and what a connection may cost. The protocols are
// the packages below it, one file per endpoint; what they share is serving.
//
// It does not load models or read flags: command penstock hands it a loaded
// Model, and package bench calls the same handler without a socket.
//
// Reading order: server.go, dispatch.go, serving, openai/chat.go.
package server
