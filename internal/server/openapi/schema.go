package openapi

import (
	"encoding/json"
	"math"
	"path"
	"reflect"
	"strings"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// member is a field of a struct as JSON has it.
type member struct {
	name     string
	kind     reflect.Type
	optional bool // it may be missing
}

// members are the fields of a struct, with those of structs embedded in it.
func members(t reflect.Type) (list []member) {
	for _, f := range reflect.VisibleFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" || name == "-" {
			continue
		}
		m := member{name: name, kind: f.Type, optional: strings.Contains(rest, "omitempty")}
		for i := 1; i < len(f.Index); i++ {
			m.optional = m.optional || t.FieldByIndex(f.Index[:i]).Type.Kind() == reflect.Pointer
		}
		list = append(list, m)
	}
	return list
}

// request is the schema of a request's object, or of one within it whose fields
// begin with prefix. The table of parameters decides what becomes of each field.
func (w *writer) request(t reflect.Type, prefix string, on serving.Routes) object {
	properties := object{}
	required := []string{}
	for _, m := range members(t) {
		row := rowOf(prefix+m.name, on)
		if row == nil || row.Refused&on != 0 {
			continue
		}
		var schema object
		inner := m.kind
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch _, fixed := forms[inner]; {
		case inner.Kind() == reflect.Struct && !fixed:
			schema = w.request(inner, prefix+m.name+".", on)
		default:
			schema = w.field(m, on)
		}
		if row.Note != "" {
			schema["description"] = row.Note
		}
		if needed[m.name]&on != 0 {
			required = append(required, m.name)
		} else {
			schema = nullable(schema)
		}
		properties[m.name] = schema
	}
	for _, row := range serving.Parameters { // those that are ignored have no Go field
		name, ok := strings.CutPrefix(row.Name, prefix)
		if ok && row.Ignored&on != 0 && !strings.Contains(name, ".") && properties[name] == nil {
			properties[name] = object{"description": "ignored: " + row.Note}
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// rowOf is what the table says about a parameter on a route.
func rowOf(name string, on serving.Routes) *serving.Parameter {
	for i := range serving.Parameters {
		if p := &serving.Parameters[i]; p.Name == name && (p.Honoured|p.Ignored|p.Refused)&on != 0 {
			return p
		}
	}
	return nil
}

// field is the schema of one field of a request, with its range.
func (w *writer) field(m member, on serving.Routes) object {
	if m.kind == rawMessage {
		if form := rawForm(m.name, on); form != nil {
			return form
		}
		return object{}
	}
	kind := m.kind
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	schema := w.schema(kind)
	if r, ok := serving.RangeOf(m.name, on); ok {
		if !math.IsInf(r.Low, 0) {
			schema["minimum"] = r.Low
		}
		if !math.IsInf(r.High, 0) {
			schema["maximum"] = r.High
		}
	}
	return schema
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

// schema is the schema of a type. A struct with a name becomes a component of
// the document, to which the schema refers.
func (w *writer) schema(t reflect.Type) object {
	if form, ok := forms[t]; ok {
		return form()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(w.schema(t.Elem()))
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": w.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": w.schema(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return w.structure(t)
		}
		name := path.Base(t.PkgPath()) + "." + t.Name()
		if w.schemas[name] == nil {
			w.schemas[name] = object{} // so that a type within itself ends here
			w.schemas[name] = w.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	return object{} // an interface: any value
}

// structure is the schema of a struct of an answer.
func (w *writer) structure(t reflect.Type) object {
	properties := object{}
	required := []string{}
	for _, m := range members(t) {
		properties[m.name] = w.schema(m.kind)
		if !m.optional {
			required = append(required, m.name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}
