package serving

import (
	"bytes"
	"encoding"
	v1 "encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock-llm/penstock/internal/chat"
)

// Decode reads the body as one JSON object into dst, a pointer to a struct.
// Names match exactly and come once. While the server takes no requests it says so
// before it reads the body. A parameter that the table refuses on this
// route is an error unless its value changes nothing; a field of no protocol is
// ignored.
func (c *Call) Decode(dst any) *Error {
	if err := c.App.Models.Ready(); err != nil {
		return err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer release(b)
	if e := c.read(b); e != nil {
		return e
	}
	if len(bytes.TrimSpace(b.Bytes())) == 0 {
		return Bad("", "the request body is empty, a JSON object is expected")
	}
	return decode(b.Bytes(), dst, RouteOf(c.R.Pattern))
}

func decode(data []byte, dst any, on Routes) *Error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return Bad("", "the request body must be a JSON object, not %s", kindName(kind))
	}
	target := reflect.ValueOf(dst).Elem()
	known := fieldsOf(target.Type())
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() != '}' {
		var name jsontext.Token
		if name, err = dec.ReadToken(); err == nil {
			var refused *Error
			if refused, err = member(dec, name.String(), target, known, on); refused != nil {
				return refused
			}
		}
	}
	if err == nil {
		_, err = dec.ReadToken()
	}
	if err == nil {
		if _, err = dec.ReadToken(); err == nil {
			return Bad("", "the request body is not valid JSON: something follows the object")
		}
		if err == io.EOF {
			return nil
		}
	}
	return unreadable(err)
}

// member reads the value of one field of the body.
func member(dec *jsontext.Decoder, name string, target reflect.Value, known map[string][]int, on Routes) (*Error, error) {
	if p := refusedOn(name, on); p != nil {
		value, err := dec.ReadValue()
		if err == nil && !p.inert(value) {
			return Unsupported(name), nil
		}
		return nil, err
	}
	at, ok := known[name]
	if !ok {
		return nil, dec.SkipValue()
	}
	field := target.FieldByIndex(at)
	if dec.PeekKind() == 'n' && field.Type() == unread {
		return nil, dec.SkipValue() // null is the same as no field; kept as a text, it would look like one
	}
	return nil, json.UnmarshalDecode(dec, field.Addr().Interface(), json.WithUnmarshalers(numbers))
}

// unread is the type of fields whose values are kept as they are for later.
var unread = reflect.TypeFor[v1.RawMessage]()

// layouts remembers, for each type of request, where its fields are.
var layouts sync.Map // reflect.Type -> map[string][]int

func fieldsOf(t reflect.Type) map[string][]int {
	if known, ok := layouts.Load(t); ok {
		return known.(map[string][]int)
	}
	known := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && name != "" && name != "-" {
			known[name] = f.Index
		}
	}
	layouts.Store(t, known)
	return known
}

// numbers reads integers as clients send them, 2.0 being one too, and accepts no
// null among the elements of an array, where it would count as zero.
var numbers = json.JoinUnmarshalers(
	json.UnmarshalFromFunc(readInteger[int]),
	json.UnmarshalFromFunc(readInteger[int32]),
	json.UnmarshalFromFunc(readInteger[int64]),
	json.UnmarshalFromFunc(refuseNull[string]),
	json.UnmarshalFromFunc(refuseNull[float64]),
)

var (
	errNull     = errors.New("null in an array")
	errRange    = errors.New("out of range")
	errFraction = errors.New("a fraction")
)

func refuseNull[T any](dec *jsontext.Decoder, _ *T) error {
	if parent, _ := dec.StackIndex(dec.StackDepth()); parent == '[' && dec.PeekKind() == 'n' {
		return errNull
	}
	return errors.ErrUnsupported // the package reads it
}

func readInteger[T int | int32 | int64](dec *jsontext.Decoder, to *T) error {
	if dec.PeekKind() != '0' {
		return refuseNull(dec, to)
	}
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		const exact = 1 << 53 // beyond it a float64 is no longer one integer
		v, e := strconv.ParseFloat(string(text), 64)
		switch {
		case e != nil || math.Abs(v) >= exact:
			return errRange
		case v != math.Trunc(v):
			return errFraction
		}
		n = int64(v)
	}
	if int64(T(n)) != n {
		return errRange
	}
	*to = T(n)
	return nil
}

// Read reads a value of the body that was left as it was until its form was known,
// by the rules of Decode. at is its place, such as messages[0].content. Errors are
// *chat.FieldError and name the place of what is wrong.
func Read(at string, raw []byte, dst any) error {
	err := json.Unmarshal(raw, dst, json.WithUnmarshalers(numbers))
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		return chat.Wrong(path(at, semantic.JSONPointer), "%s", mismatch(err, semantic))
	}
	return chat.Wrong(at, "is not valid JSON")
}

// unreadable says what is wrong with a body, in the words of the protocols.
func unreadable(err error) *Error {
	var (
		semantic *json.SemanticError
		syntax   *jsontext.SyntacticError
	)
	switch {
	case errors.As(err, &syntax):
		what, where := syntax.Err.Error(), ""
		if errors.Is(syntax.Err, io.ErrUnexpectedEOF) {
			what = "it ends too early"
		}
		if p := path("", syntax.JSONPointer); p != "" {
			where = " at " + p
		}
		return Bad("", "the request body is not valid JSON: %v%s", clip(what), where)
	case errors.As(err, &semantic):
		param := path("", semantic.JSONPointer)
		return Bad(param, "%s %s", param, mismatch(err, semantic))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Bad("", "the request body is not valid JSON: it ends too early")
	}
	return Bad("", "the request body is not valid JSON: %s", clip(err.Error()))
}

// mismatch says what a field must be whose value does not fit it.
func mismatch(err error, semantic *json.SemanticError) string {
	want := wanted(semantic.GoType)
	switch {
	case semantic.GoType != nil && reflect.PointerTo(semantic.GoType).Implements(reflect.TypeFor[describer]()):
		return "must be " + want // its elements may be what is wrong
	case errors.Is(err, errNull):
		return "must be " + want + ", not null"
	case errors.Is(err, errRange), errors.Is(err, strconv.ErrRange):
		return "is out of range: it must be " + want + " that this server can hold"
	case errors.Is(err, errFraction):
		return "must be an integer, not a fraction"
	}
	return "must be " + want + ", not " + kindName(semantic.JSONKind)
}

// path writes a pointer such as /stop/0 as stop[0], after the place that the
// pointer begins at.
func path(at string, p jsontext.Pointer) string {
	var b strings.Builder
	b.WriteString(at)
	for token := range p.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil && b.Len() > 0:
			fmt.Fprintf(&b, "[%s]", token)
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return clip(b.String())
}

// clip shortens what was sent to what an error may repeat of it.
func clip(text string) string {
	const most = 120
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// wanted names the JSON values that a field takes.
func wanted(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return "another value"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[describer]()):
		return reflect.New(t).Interface().(describer).Wanted()
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "a string"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	}
	return "an object"
}

// describer is a type of the api packages with more than one form.
type describer interface{ Wanted() string }

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	case '{':
		return "an object"
	}
	return "this"
}
