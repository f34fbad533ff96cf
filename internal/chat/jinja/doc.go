// Package jinja renders chat templates exactly as Python Jinja2 does in the
// environment that transformers sets up: immutable sandbox, trim_blocks,
// lstrip_blocks, loop controls, {% generation %}, tojson as
// json.dumps(ensure_ascii=False), raise_exception and strftime_now.
//
// It is not a general Jinja: no includes, imports, inheritance or automatic
// escaping, because a chat template is one self-contained string. Package chat
// is its only caller.
//
// Why not a library: a template comes out of a downloaded model file, so it is
// untrusted. gonja keeps mappings in Go maps, which lose the key order that
// prompts depend on, and evaluates "x" * 4000000000, wide format strings and
// nested loops with no place to charge or stop them. Here every evaluated node
// costs a step and every byte made is charged before it is made (see Limits).
//
// Reading order: value.go, lexer.go, parse_stmt.go, eval.go, expr.go.
package jinja
