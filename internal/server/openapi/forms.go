package openapi

import (
	"encoding/json"
	"reflect"

	"github.com/penstock-llm/penstock/api/llamaserver"
	"github.com/penstock-llm/penstock/api/openai"
	"github.com/penstock-llm/penstock/api/rerank"
	"github.com/penstock-llm/penstock/api/sampling"
	"github.com/penstock-llm/penstock/internal/server/serving"
)

func of(kind string) object { return object{"type": kind} }

func arrayOf(items object) object { return object{"type": "array", "items": items} }

func either(options ...object) object { return object{"anyOf": options} }

// forms are the types that read and write their JSON themselves.
var forms = map[reflect.Type]func() object{
	rawMessage:                     func() object { return object{} },
	reflect.TypeFor[json.Number](): func() object { return of("number") },
	reflect.TypeFor[sampling.Stop](): func() object {
		return either(of("string"), object{"type": "array", "items": object{"type": "string", "minLength": 1, "maxLength": 256}, "maxItems": 128})
	},
	reflect.TypeFor[sampling.Texts](): func() object {
		return either(of("string"), object{"type": "array", "items": of("string"), "maxItems": serving.MaxInputs})
	},
	reflect.TypeFor[rerank.Document](): func() object {
		return either(of("string"), object{"type": "object", "required": []string{"text"}, "properties": object{"text": of("string")}})
	},
	reflect.TypeFor[openai.Prompt](): func() object {
		return either(of("string"), arrayOf(of("string")), arrayOf(token()), arrayOf(arrayOf(token())))
	},
	reflect.TypeFor[llamaserver.Bias](): func() object {
		return object{"type": "array", "prefixItems": []object{of("integer"), {"type": []string{"number", "boolean"}}}, "minItems": 2, "maxItems": 2}
	},
}

func token() object { return object{"type": "integer", "minimum": 0} }

// rawForm is the schema of a field that the handler reads itself, because it has
// several forms; nil: any value.
func rawForm(name string, on serving.Routes) object {
	switch name {
	case "messages":
		return messages()
	case "tools":
		return arrayOf(object{"type": "object", "properties": object{"type": of("string"), "function": of("object")}})
	case "prompt":
		return either(of("string"), arrayOf(object{"type": []string{"string", "integer"}}))
	case "content": // of /tokenize and /embedding
		return either(of("string"), arrayOf(object{"type": []string{"string", "integer"}}))
	case "input":
		if on&serving.OnResponses != 0 {
			return either(of("string"), arrayOf(of("object")))
		}
		return rawForm("content", on) // of /embedding
	case "system":
		return either(of("string"), arrayOf(object{"type": "object", "required": []string{"type", "text"},
			"properties": object{"type": object{"const": "text"}, "text": of("string")}}))
	case "tool_choice":
		return object{"type": []string{"string", "object"}}
	case "samplers":
		return either(of("string"), arrayOf(of("string")))
	case "logit_bias":
		return either(object{"type": "object", "additionalProperties": of("number")},
			arrayOf(object{"type": "array", "minItems": 2, "maxItems": 2}))
	case "think":
		return either(of("boolean"), object{"enum": []string{"low", "medium", "high"}})
	case "chat_template_kwargs", "metadata":
		return of("object")
	}
	return nil
}

// messages are those of a conversation. The roles and contents that a template
// knows differ.
func messages() object {
	part := object{"type": "object", "required": []string{"type"}, "properties": object{"type": of("string"), "text": of("string")}}
	return object{"type": "array", "minItems": 1, "items": object{
		"type":     "object",
		"required": []string{"role"},
		"properties": object{
			"role":    of("string"),
			"content": either(of("string"), arrayOf(part), of("null")),
		},
	}}
}

// needed are the fields without which a request is refused.
var needed = map[string]serving.Routes{
	"messages":     serving.OnChat | serving.OnTemplate | serving.OnMessages | serving.OnCount,
	"prompt":       serving.OnText | serving.OnCompletion | serving.OnGenerate,
	"max_tokens":   serving.OnMessages,
	"input_prefix": serving.OnInfill,
	"input_suffix": serving.OnInfill,
	"text":         serving.OnEncode,
	"content":      serving.OnTokenize,
	"tokens":       serving.OnDetokenize,
	"input":        serving.OnEmbeddings,
	"query":        serving.OnRerank,
}
