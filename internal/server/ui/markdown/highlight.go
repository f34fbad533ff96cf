package markdown

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
)

// Beyond these a block of code is shown in one colour: lexers are made of regular
// expressions, and the text is a model's.
const (
	maxHighlighted = 64 << 10 // bytes
	maxLexing      = 500 * time.Millisecond
)

// highlight writes code with a class for each kind of token.
func highlight(w io.Writer, language, text string) {
	for _, t := range tokens(language, text) {
		if class := class(t.Type); class != "" {
			fmt.Fprintf(w, `<span class="%s">%s</span>`, class, html.EscapeString(t.Value))
		} else {
			io.WriteString(w, html.EscapeString(t.Value))
		}
	}
}

// tokens takes code apart. Code that no lexer is known for is one token, and so is
// what a lexer has not read in time or fails at.
func tokens(language, text string) (list []chroma.Token) {
	done := 0
	defer func() {
		if recover() != nil || done < len(text) {
			list = append(list, chroma.Token{Type: chroma.Text, Value: text[done:]})
		}
	}()
	lexer := lexers.Get(language)
	if lexer == nil || language == "" || len(text) > maxHighlighted {
		return nil
	}
	next, err := chroma.Coalesce(lexer).Tokenise(&chroma.TokeniseOptions{State: "root", EnsureLF: false}, text)
	if err != nil {
		return nil
	}
	deadline := time.Now().Add(maxLexing)
	for t := next(); t != chroma.EOF; t = next() {
		if !strings.HasPrefix(text[done:], t.Value) || time.Now().After(deadline) {
			break // some lexers change line ends
		}
		list = append(list, t)
		done += len(t.Value)
	}
	return list
}

// class is the class of a kind of token in the page's style sheet.
func class(t chroma.TokenType) string {
	switch {
	case t.InCategory(chroma.Comment) && t.InSubCategory(chroma.CommentPreproc):
		return "meta"
	case t.InCategory(chroma.Comment):
		return "comment"
	case t == chroma.KeywordType, t == chroma.NameClass, t == chroma.NameBuiltin, t == chroma.NameException, t == chroma.NameNamespace:
		return "type"
	case t == chroma.KeywordConstant, t.InSubCategory(chroma.LiteralNumber):
		return "number"
	case t.InCategory(chroma.Keyword), t == chroma.OperatorWord, t == chroma.NameTag:
		return "keyword"
	case t.InSubCategory(chroma.LiteralString):
		return "string"
	case t == chroma.NameFunction, t == chroma.NameFunctionMagic, t == chroma.NameDecorator:
		return "function"
	case t == chroma.NameAttribute, t == chroma.NameVariable, t == chroma.NameConstant, t == chroma.NameProperty:
		return "name"
	case t == chroma.GenericDeleted:
		return "removed"
	case t == chroma.GenericInserted:
		return "added"
	case t.InCategory(chroma.Generic):
		return "meta"
	}
	return ""
}
