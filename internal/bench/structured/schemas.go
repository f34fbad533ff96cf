package structured

// prompt is what all requests begin with. The models are to write something of about the right kind; whether it makes sense does not
// matter here.
const prompt = "List the calls of functions that book a trip from Lisbon to Oslo in May, as JSON: "

// simpleSchema is like those of the function calling leaderboard: a few functions with flat arguments.
const simpleSchema = `{
  "type": "array", "minItems": 3,
  "items": {"anyOf": [
    {"type": "object", "properties": {"find_flights": {"type": "object", "properties": {
      "origin": {"type": "string"}, "destination": {"type": "string"}, "departure_date": {"type": "string"},
      "passengers": {"type": "integer"}, "cabin_class": {"type": "string", "enum": ["economy", "business", "first"]}},
      "required": ["origin", "destination", "departure_date", "passengers"], "additionalProperties": false}},
      "required": ["find_flights"], "additionalProperties": false},
    {"type": "object", "properties": {"hotel.reserve_room": {"type": "object", "properties": {
      "city_name": {"type": "string"}, "number_of_nights": {"type": "integer"}, "breakfast_included": {"type": "boolean"}},
      "required": ["city_name", "number_of_nights"], "additionalProperties": false}},
      "required": ["hotel.reserve_room"], "additionalProperties": false},
    {"type": "object", "properties": {"currency_converter": {"type": "object", "properties": {
      "amount": {"type": "number"}, "from_currency": {"type": "string"}, "to_currency": {"type": "string"}},
      "required": ["amount", "from_currency", "to_currency"], "additionalProperties": false}},
      "required": ["currency_converter"], "additionalProperties": false}
  ]}
}`

// hardSchema has what makes masks expensive: strings that are bounded, match patterns or have formats, keys that are not among the
// properties, alternatives that share their beginnings, exact bounds of numbers, and recursion.
const hardSchema = `{
  "$defs": {
    "note": {"type": "object", "properties": {
      "by": {"type": "string", "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+){1,3}$", "maxLength": 40},
      "at": {"type": "string", "format": "date-time"}, "from": {"type": "string", "format": "email"},
      "text": {"type": "string", "minLength": 12, "maxLength": 70},
      "replies": {"type": "array", "items": {"$ref": "#/$defs/note"}, "maxItems": 2}},
      "required": ["by", "at", "text"],
      "patternProperties": {"^x-[a-z]{2,8}$": {"type": ["string", "number"]}}, "additionalProperties": {"type": "integer"}}
  },
  "type": "object",
  "properties": {
    "title": {"type": "string", "pattern": "[A-Za-z]{3,} .*[a-z]", "minLength": 10, "maxLength": 48},
    "price": {"type": "number", "minimum": 12.5, "maximum": 1999.99, "multipleOf": 0.01},
    "site": {"type": "string", "format": "uri"},
    "labels": {"type": "object", "propertyNames": {"pattern": "^[a-z]+(-[a-z]+)*$"}, "additionalProperties": {"type": "string", "maxLength": 20}, "minProperties": 1},
    "legs": {"type": "array", "minItems": 2, "items": {"oneOf": [
      {"type": "object", "properties": {"kind": {"const": "flight"}, "number": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3,4}$"}, "hours": {"type": "number", "exclusiveMinimum": 0, "maximum": 19}}, "required": ["kind", "number"]},
      {"type": "object", "properties": {"kind": {"const": "ferry"}, "ship": {"type": "string", "minLength": 3, "maxLength": 30}}, "required": ["kind", "ship"]},
      {"type": "object", "properties": {"kind": {"const": "rail"}, "train": {"type": "string", "not": {"pattern": "^[0-9]"}}, "seat": {"enum": ["window", "aisle", "with a table", "with a window"]}}, "required": ["kind", "train"]}]}},
    "notes": {"type": "array", "items": {"$ref": "#/$defs/note"}, "minItems": 1, "maxItems": 4}
  },
  "required": ["title", "price", "labels", "legs", "notes"]
}`
