// Package promtext writes metrics in Prometheus' text format, version 0.0.4, into a
// buffer that is used again. It is not a registry: it knows no metrics, checks no
// names, and its caller writes all series of a family before it begins the next.
// Package server calls it for /metrics.
//
// Prometheus' own library makes an object of every series, checks that none is there
// twice, sorts them, makes objects of its messages out of these, and then text. For
// routers that read the page 20 times a second that was 2 % of a processor.
package promtext

import (
	"math"
	"strconv"
	"strings"

	"github.com/penstock-llm/penstock/internal/metrics"
)

// ContentType is the media type of the text.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Kind is the type of a family, as its TYPE line says it.
type Kind string

// The kinds that there are series of.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Page is the text so far. The zero value is an empty page.
type Page struct{ text []byte }

// Reset empties the page and keeps its memory.
func (p *Page) Reset() { p.text = p.text[:0] }

// Bytes is the text. It is overwritten after Reset.
func (p *Page) Bytes() []byte { return p.text }

// Append adds families that were written elsewhere.
func (p *Page) Append(text []byte) { p.text = append(p.text, text...) }

// Family is a metric whose series are being written. Its name is in two parts,
// which need not be joined for it.
type Family struct {
	page         *Page
	prefix, name string
	labels       []string // of every series: name, value, name, value
}

// Family begins a metric: the lines that say what it is. The labels, each a name and
// a value, are those that all its series have.
func (p *Page) Family(prefix, name string, kind Kind, help string, labels ...string) Family {
	p.words("# HELP ", prefix, name, " ")
	p.escaped(help, helpEscapes)
	p.words("\n# TYPE ", prefix, name, " ", string(kind), "\n")
	return Family{page: p, prefix: prefix, name: name, labels: labels}
}

// Value writes the series with these further labels.
func (f *Family) Value(v float64, labels ...string) {
	if f.series("", labels) {
		f.page.words("}")
	}
	f.page.words(" ")
	f.page.text = append(number(f.page.text, v), '\n')
}

// Histogram writes the lines of a histogram, which has no further labels. All its
// buckets' lines begin alike, up to the bound; that is most of the text, and copied.
func (f *Family) Histogram(h metrics.Snapshot) {
	p := f.page
	start := len(p.text)
	separator := "{"
	if f.series("_bucket", nil) {
		separator = ","
	}
	p.words(separator, `le="`)
	head, text := p.text[start:len(p.text):len(p.text)], p.text[:start]
	sum := uint64(0)
	for i, n := range h.Counts {
		sum += n
		bound := math.Inf(1)
		if i < len(h.Bounds) {
			bound = h.Bounds[i]
		}
		text = append(number(append(text, head...), bound), `"} `...)
		text = append(number(text, float64(sum)), '\n')
	}
	p.text = text
	whole := *f
	whole.name = f.name + "_sum"
	whole.Value(h.Sum)
	whole.name = f.name + "_count"
	whole.Value(float64(h.Count))
}

// series writes a series' name and labels, but not the brace that closes these. It
// reports whether there are any.
func (f *Family) series(suffix string, labels []string) bool {
	f.page.words(f.prefix, f.name, suffix)
	separator := "{"
	for _, pairs := range [...][]string{f.labels, labels} {
		for i := 0; i < len(pairs); i += 2 {
			f.page.words(separator, pairs[i], `="`)
			f.page.escaped(pairs[i+1], labelEscapes)
			f.page.words(`"`)
			separator = ","
		}
	}
	return separator == ","
}

func (p *Page) words(words ...string) {
	for _, w := range words {
		p.text = append(p.text, w...)
	}
}

var (
	helpEscapes  = strings.NewReplacer("\\", `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`)
)

// escaped writes a help text, or the value of a label.
func (p *Page) escaped(text string, escapes *strings.Replacer) {
	if strings.ContainsAny(text, "\\\n\"") {
		text = escapes.Replace(text)
	}
	p.text = append(p.text, text...)
}

// number appends a value, as Prometheus' own library writes it. Most are small whole
// numbers, which take a shorter way to the same text.
func number(text []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return strconv.AppendInt(text, int64(v), 10)
	}
	return strconv.AppendFloat(text, v, 'g', -1, 64)
}
