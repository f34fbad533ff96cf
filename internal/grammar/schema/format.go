package schema

import "strings"

// The parts of formats. Each is an expression of its own grammar's RFC.
const (
	date     = `(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)`
	clock    = `(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)`
	label    = `[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	hostname = label + `(?:\.` + label + `)*`
	octet    = `(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`
	ipv4     = octet + `(?:\.` + octet + `){3}`
	group    = `[0-9A-Fa-f]{1,4}`
	tail     = `(?:` + group + `:` + group + `|` + ipv4 + `)`
	ipv6     = `(?:(?:` + group + `:){6}` + tail + `|::(?:` + group + `:){5}` + tail + `|(?:` + group + `)?::(?:` + group + `:){4}` + tail +
		`|(?:(?:` + group + `:){0,1}` + group + `)?::(?:` + group + `:){3}` + tail + `|(?:(?:` + group + `:){0,2}` + group + `)?::(?:` + group + `:){2}` + tail +
		`|(?:(?:` + group + `:){0,3}` + group + `)?::` + group + `:` + tail + `|(?:(?:` + group + `:){0,4}` + group + `)?::` + tail +
		`|(?:(?:` + group + `:){0,5}` + group + `)?::` + group + `|(?:(?:` + group + `:){0,6}` + group + `)?::)`
	escaped    = `%[0-9A-Fa-f]{2}`
	pathChar   = `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|` + escaped + `)`
	pathNoCol  = `(?:[A-Za-z0-9._~!$&'()*+,;=@-]|` + escaped + `)`
	regName    = `(?:[A-Za-z0-9._~!$&'()*+,;=-]|` + escaped + `)*`
	userInfo   = `(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|` + escaped + `)*@)?`
	authority  = userInfo + `(?:\[` + ipv6 + `\]|` + regName + `)(?::\d{0,5})?`
	behind     = `(?:\?(?:` + pathChar + `|[/?])*)?(?:#(?:` + pathChar + `|[/?])*)?`
	segments   = `(?:/` + pathChar + `*)*`
	rooted     = `/(?:` + pathChar + `+` + segments + `)?`
	uri        = `[A-Za-z][A-Za-z0-9+.-]*:(?://` + authority + segments + `|` + rooted + `|` + pathChar + `+` + segments + `|)` + behind
	relative   = `(?://` + authority + segments + `|` + rooted + `|` + pathNoCol + `+` + segments + `|)` + behind
	atom       = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
	varName    = `(?:\w|` + escaped + `)+(?:\.(?:\w|` + escaped + `)+)*`
	varSpec    = varName + `(?::[1-9]\d{0,3}|\*)?`
	templated  = `\{[+#./;?&=,!@|]?` + varSpec + `(?:,` + varSpec + `)*\}`
	timeAmount = `T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)`
)

// formats has the expressions of the formats that are checked. Each is a part of what the format allows where the whole is no regular language or
// invites texts that validators disagree about.
var formats = map[string]string{
	"date-time":             `^` + date + `[Tt]` + clock + `$`,
	"date":                  `^` + date + `$`,
	"time":                  `^` + clock + `$`,
	"duration":              `^P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)(?:` + timeAmount + `)?|` + timeAmount + `)$`,
	"email":                 `^(?=[^@]{1,64}@)` + atom + `(?:\.` + atom + `)*@` + hostname + `$`,
	"hostname":              `^` + hostname + `$`,
	"ipv4":                  `^` + ipv4 + `$`,
	"ipv6":                  `^` + ipv6 + `$`,
	"uri":                   `^` + uri + `$`,
	"uri-reference":         `^(?:` + uri + `|` + relative + `)$`,
	"uuid":                  `^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$`,
	"json-pointer":          `^(?:/(?:[^~/]|~[01])*)*$`,
	"relative-json-pointer": `^(?:0|[1-9]\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)$`,
	"iri":                   international(`^` + uri + `$`),
	"iri-reference":         international(`^(?:` + uri + `|` + relative + `)$`),
	"uri-template":          "^(?:[^\\x00-\\x20\"'%<>\\\\^`{|}\\x7F]|" + escaped + "|" + templated + ")*$",
	"byte":                  `^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`,
}

// formatLength bounds some formats' characters.
var formatLength = map[string]int{"hostname": 253, "email": 254}

// refusedFormats are known to the specification but not served.
var refusedFormats = []string{"idn-email", "idn-hostname"}

// beyondASCII is the characters that an IRI has besides those of a URI.
const beyondASCII = `\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF`

// international makes an expression of URIs one of IRIs.
func international(expression string) string {
	return strings.ReplaceAll(expression, "A-Za-z0-9._~", "A-Za-z0-9._~"+beyondASCII)
}
