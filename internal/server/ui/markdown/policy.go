package markdown

import (
	"regexp"

	"github.com/microcosm-cc/bluemonday"
)

// policy is the HTML that may leave this package. The renderer writes nothing else;
// the policy holds where the renderer has a bug.
var policy = func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "div", "span",
		"h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td", "button")
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`^(auto|ltr)$`)).Globally()
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`)).OnElements("span", "code", "div", "button", "th", "td")
	p.AllowAttrs("tabindex").Matching(regexp.MustCompile(`^0$`)).OnElements("pre", "div")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("type").Matching(regexp.MustCompile(`^button$`)).OnElements("button")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	return p
}()
