// Package openapi writes the server's routes as an OpenAPI 3.1 document, from what
// the server itself runs by: the routes, the table of parameters, the wire types
// in api, and the errors of package serving in the form of each protocol.
//
// It answers no requests and checks none. Package server serves the document at
// /openapi.json.
//
// Reading order: document.go, schema.go, failures.go, forms.go.
package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-llm/penstock/internal/server/serving"
)

// Protocol is a group of routes whose errors have the same form.
type Protocol struct {
	Name   string
	Error  any // zero value of the type of an error's body
	Routes []serving.Route
}

// object is a JSON object of the document.
type object = map[string]any

// writer gathers the document.
type writer struct {
	paths   map[string]object
	schemas object // the types that answers refer to, by name
}

// Document returns the JSON of the document.
func Document(version string, protocols []Protocol) []byte {
	w := &writer{paths: map[string]object{}, schemas: object{}}
	tags := []object{}
	for _, p := range protocols {
		tags = append(tags, object{"name": p.Name})
		for _, r := range p.Routes {
			path, _ := address(r.Path)
			if w.paths[path] == nil {
				w.paths[path] = object{}
			}
			w.paths[path][strings.ToLower(r.Method)] = w.operation(p, r)
		}
	}
	text, err := json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": "Penstock", "version": version, "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}, "description": about},
		"tags":    tags,
		"paths":   w.paths,
		"components": object{
			"schemas": w.schemas,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer"},
				"key":    object{"type": "apiKey", "in": "header", "name": "X-Api-Key"},
			},
		},
	})
	if err != nil {
		panic(fmt.Sprintf("openapi: %v", err)) // everything in it is this package's own
	}
	return text
}

const about = "What Penstock takes and answers, generated from the tables that it runs by. " +
	"Fields that a schema does not name are accepted and ignored, except those that docs/api.md calls refused. " +
	"A method that a path does not have is a 405, with the header Allow."

// placeholder is a variable part of a pattern of http.ServeMux.
var placeholder = regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`)

// address turns such a pattern into a path of the document, with the names of
// its variable parts.
func address(pattern string) (path string, names []string) {
	for _, m := range placeholder.FindAllStringSubmatch(pattern, -1) {
		names = append(names, m[1])
	}
	return placeholder.ReplaceAllString(strings.TrimSuffix(pattern, "{$}"), "{$1}"), names
}

func (w *writer) operation(p Protocol, r serving.Route) object {
	path, names := address(r.Path)
	id := strings.ReplaceAll(path, "_", "__") // /model/info and /model_info are two routes
	if strings.HasSuffix(path, "/") {
		id += "index"
	}
	op := object{
		"tags":        []string{p.Name},
		"summary":     r.About,
		"operationId": strings.Trim(notWord.ReplaceAllString(strings.ToLower(r.Method)+id, "_"), "_"),
		"responses":   w.responses(p, r),
	}
	parameters := []object{}
	for _, name := range names {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for name, values := range r.Contract.Query {
		schema := object{"type": "string"}
		if values != nil {
			schema["enum"] = values
		}
		parameters = append(parameters, object{"name": name, "in": "query", "schema": schema})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if !r.Public { // without keys everybody may ask
		op["security"] = []object{{"bearer": []string{}}, {"key": []string{}}, {}}
	}
	if t := r.Contract.Takes; t != nil {
		schema := w.request(reflect.TypeOf(t), "", serving.RouteOf(r.Path))
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": schema}}}
	}
	return op
}

var notWord = regexp.MustCompile(`\W+`)

// responses are the answers of a route, by status.
func (w *writer) responses(p Protocol, r serving.Route) object {
	all := object{}
	c := r.Contract
	moved := c.Gives == nil && c.Media == nil && slices.Contains(c.Also, http.StatusFound)
	if !c.Refused && !moved {
		all["200"] = w.success(r)
	}
	for _, e := range failures(r) {
		status, body := shaped(r.Shape, e)
		all[strconv.Itoa(status)] = object{
			"description": e.Message,
			"content":     object{"application/json": object{"schema": w.schema(reflect.TypeOf(p.Error)), "example": json.RawMessage(body)}},
		}
	}
	for _, status := range c.Also {
		if status < 400 {
			all[strconv.Itoa(status)] = object{"description": reason(status)}
		}
	}
	return all
}

// success is the answer to a request that nothing is wrong with.
func (w *writer) success(r serving.Route) object {
	c := r.Contract
	content := object{}
	if c.Gives != nil {
		schema := w.schema(reflect.TypeOf(c.Gives))
		if c.Varies {
			schema = object{"anyOf": []object{schema, {"type": "object"}, {"type": "array"}}}
		}
		content["application/json"] = object{"schema": schema}
	}
	for _, kind := range c.Media {
		content[kind] = object{"schema": object{"type": "string"}}
	}
	if c.Events != nil {
		kind, form := "text/event-stream", "server-sent events"
		if c.Framing == serving.NDJSON {
			kind, form = "application/x-ndjson", "lines of JSON"
		}
		// A schema cannot tell the stream as a whole. What one message of it is stands beside it.
		content[kind] = object{"schema": object{"description": form, "x-message": w.schema(reflect.TypeOf(c.Events))}}
	}
	answer := object{"description": r.About}
	if len(content) > 0 {
		answer["content"] = content
	}
	return answer
}

// nullable lets a value also be null, which means that the field is left out.
func nullable(schema object) object {
	switch kind := schema["type"].(type) {
	case string:
		schema["type"] = []string{kind, "null"}
		if values, ok := schema["enum"].([]any); ok {
			schema["enum"] = append(slices.Clip(values), nil)
		}
		return schema
	case nil:
		if len(schema) == 0 || (len(schema) == 1 && schema["description"] != nil) {
			return schema // anything
		}
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}
