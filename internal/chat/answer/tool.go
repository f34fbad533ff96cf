package answer

import "encoding/json"

// Tool is a function that the model may call.
type Tool struct {
	Name       string
	Parameters []byte // the JSON Schema of its arguments; may be empty
	Strict     bool   // they are of the schema, or there is no answer

	strings map[string]bool // parameters that only take strings
}

// NewTool makes a tool from its name and the JSON Schema of its parameters,
// which may be empty. Formats that write values without quotes need the schema
// to tell the string 5 from the number; what it does not say is taken as JSON
// where it is JSON, and as a string otherwise.
func NewTool(name string, parameters []byte) Tool {
	var schema struct {
		Properties map[string]struct {
			Type any   `json:"type"`
			Enum []any `json:"enum"`
		} `json:"properties"`
	}
	t := Tool{Name: name, Parameters: parameters, strings: map[string]bool{}}
	if json.Unmarshal(parameters, &schema) != nil {
		return t
	}
	for key, p := range schema.Properties {
		switch kind := p.Type.(type) {
		case string:
			t.strings[key] = kind == "string"
		case nil:
			t.strings[key] = onlyStrings(p.Enum)
		default:
			t.strings[key] = false
		}
	}
	return t
}

func onlyStrings(values []any) bool {
	for _, v := range values {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return len(values) > 0
}
