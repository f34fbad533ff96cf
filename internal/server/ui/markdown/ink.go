package markdown

import gloss "charm.land/glamour/v2/ansi"

// ink is how the kinds of text look on a terminal.
func ink(colour bool) gloss.StyleConfig {
	bold := gloss.StylePrimitive{Bold: new(true)}
	heading := bold
	code := gloss.StylePrimitive{Prefix: "`", Suffix: "`"}
	link, faint := gloss.StylePrimitive{Underline: new(true)}, gloss.StylePrimitive{}
	if colour {
		heading.Color, link.Color, faint.Color = new("4"), new("4"), new("8")
		code = gloss.StylePrimitive{Color: new("6")}
	}
	title := heading
	title.Underline = new(true)
	return gloss.StyleConfig{
		Heading:        gloss.StyleBlock{StylePrimitive: heading},
		H1:             gloss.StyleBlock{StylePrimitive: title},
		BlockQuote:     gloss.StyleBlock{StylePrimitive: faint, Indent: new(uint(1)), IndentToken: new("│ ")},
		List:           gloss.StyleList{LevelIndent: 2},
		Item:           gloss.StylePrimitive{BlockPrefix: "• "},
		Enumeration:    gloss.StylePrimitive{BlockPrefix: ". "},
		Task:           gloss.StyleTask{Ticked: "[x] ", Unticked: "[ ] "},
		Emph:           gloss.StylePrimitive{Italic: new(true)},
		Strong:         bold,
		Strikethrough:  gloss.StylePrimitive{CrossedOut: new(true)},
		HorizontalRule: gloss.StylePrimitive{Color: faint.Color, Format: "\n────────\n"},
		Link:           link,
		LinkText:       bold,
		Image:          link,
		ImageText:      gloss.StylePrimitive{Format: "picture: {{.text}} →"},
		Code:           gloss.StyleBlock{StylePrimitive: code},
		CodeBlock:      gloss.StyleCodeBlock{StyleBlock: gloss.StyleBlock{Margin: new(uint(2))}, Chroma: tokenInk()},
	}
}

// tokenInk are the colours of code, after the page's. They are not used without
// colours.
func tokenInk() *gloss.Chroma {
	in := func(name string) gloss.StylePrimitive { return gloss.StylePrimitive{Color: new("#ansi" + name)} }
	keyword, string, number := in("purple"), in("darkgreen"), in("teal")
	kind, function, comment := in("brown"), in("darkblue"), in("darkgray")
	return &gloss.Chroma{
		Comment: comment, CommentPreproc: comment, Keyword: keyword, KeywordReserved: keyword, KeywordNamespace: keyword,
		KeywordType: kind, NameBuiltin: kind, NameTag: keyword, NameClass: kind, NameDecorator: function, NameException: kind,
		NameFunction: function, LiteralNumber: number, LiteralString: string, LiteralStringEscape: number,
		GenericDeleted: in("darkred"), GenericInserted: string,
	}
}
