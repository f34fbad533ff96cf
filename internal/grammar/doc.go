// Package grammar holds context-free grammars over lexemes and says which tokens
// of a vocabulary may come next in a text of such a grammar. It knows no JSON
// Schema, no engine and no protocol: package grammar/schema builds grammars, the
// server has the engine obey them.
//
// A Builder collects rules and compiles them to a Grammar. A Matcher follows one
// text. Behind it, an arena keeps every state that a text of the Grammar has led
// to, with its transitions and its mask, for all matchers of the Grammar.
package grammar
