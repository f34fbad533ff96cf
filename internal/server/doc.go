// Package server is Penstock's HTTP front end: routes, keys, which web pages may
// ask, request ids, health, logs, metrics, draining, and what a connection may
// cost. The protocols are the packages below it, one file per endpoint; what
// they share is package serving.
//
// It does not load models or read flags: command penstock hands it a Deployment,
// and package bench calls the same handler without a socket.
//
// Reading order: server.go, dispatch.go, response.go, observe.go, package
// serving, openai/chat.go.
package server
