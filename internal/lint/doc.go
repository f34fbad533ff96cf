// Package lint holds the project's own rules as tests: the import ladder, who
// may import unsafe and net/http, package docs, the sizes of files and
// functions, how many parameters those have, and the list of linked modules. It has no code of its own; run it
// with `go test ./internal/lint`.
package lint
