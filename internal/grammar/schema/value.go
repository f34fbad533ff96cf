package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// value is a JSON value that keeps the order of an object's members, because a grammar writes properties in the order of the schema.
type value struct {
	kind  kind
	truth bool
	text  string // of a string: its characters; of a number: as it was written
	items []*value
	keys  []string // of an object: the names, in order; vals[i] belongs to keys[i]
	vals  []*value
	place map[string]int // of a large object: where names are in keys
}

// maxDepth bounds the nesting of a schema's text.
const maxDepth = 200

// parseValue reads one JSON value. A name that occurs twice has its last value.
func parseValue(text []byte) (*value, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text follows the JSON value")
	}
	return v, nil
}

func readValue(dec *json.Decoder, depth int) (*value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case nil:
		return &value{kind: kindNull}, nil
	case bool:
		return &value{kind: kindBool, truth: t}, nil
	case json.Number:
		return &value{kind: kindNumber, text: t.String()}, nil
	case string:
		return stringValue(t), nil
	case json.Delim:
		if t == '[' {
			return readArray(dec, depth)
		}
		return readObject(dec, depth)
	}
	return nil, fmt.Errorf("unexpected token %v", token)
}

func readArray(dec *json.Decoder, depth int) (*value, error) {
	v := &value{kind: kindArray}
	for dec.More() {
		item, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		v.items = append(v.items, item)
	}
	_, err := dec.Token()
	return v, err
}

func readObject(dec *json.Decoder, depth int) (*value, error) {
	v := &value{kind: kindObject}
	place := map[string]int{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		member, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if i, ok := place[key]; ok {
			v.vals[i] = member
			continue
		}
		place[key] = len(v.keys)
		v.keys, v.vals = append(v.keys, key), append(v.vals, member)
	}
	_, err := dec.Token()
	return v, err
}

func stringValue(s string) *value { return &value{kind: kindString, text: s} }
func boolValue(b bool) *value     { return &value{kind: kindBool, truth: b} }

func intValue(n int) *value { return &value{kind: kindNumber, text: strconv.Itoa(n)} }

func arrayValue(items ...*value) *value { return &value{kind: kindArray, items: items} }

// with adds a member to an object that is being made.
func (v *value) with(key string, member *value) *value {
	v.keys, v.vals = append(v.keys, key), append(v.vals, member)
	return v
}

// manyNames is from how many names on an object has an index of them.
const manyNames = 12

// get returns an object's member, or nil.
func (v *value) get(key string) *value {
	if v == nil || v.kind != kindObject {
		return nil
	}
	if len(v.keys) < manyNames {
		for i, k := range v.keys {
			if k == key {
				return v.vals[i]
			}
		}
		return nil
	}
	if len(v.place) != len(v.keys) {
		v.place = make(map[string]int, len(v.keys))
		for i, k := range v.keys {
			v.place[k] = i
		}
	}
	if i, ok := v.place[key]; ok {
		return v.vals[i]
	}
	return nil
}

// names returns the names of an object, or none.
func (v *value) names() []string {
	if v == nil {
		return nil
	}
	return v.keys
}

// number returns a number's exact value. An exponent beyond 400 is refused: its digits would fill the memory.
func (v *value) number() (*big.Rat, bool) {
	if v == nil || v.kind != kindNumber || len(v.text) > 1000 {
		return nil, false
	}
	if _, exp, ok := strings.Cut(strings.ToLower(v.text), "e"); ok {
		if n, err := strconv.Atoi(exp); err != nil || n > 400 || n < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(v.text)
}

// equal is JSON Schema's equality: numbers by value, objects without regard to order.
func equal(a, b *value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kindBool:
		return a.truth == b.truth
	case kindString:
		return a.text == b.text
	case kindNumber:
		x, ok := a.number()
		y, ok2 := b.number()
		if !ok || !ok2 {
			return a.text == b.text
		}
		return x.Cmp(y) == 0
	case kindArray:
		if len(a.items) != len(b.items) {
			return false
		}
		for i := range a.items {
			if !equal(a.items[i], b.items[i]) {
				return false
			}
		}
	case kindObject:
		if len(a.keys) != len(b.keys) {
			return false
		}
		for i, k := range a.keys {
			if w := b.get(k); w == nil || !equal(a.vals[i], w) {
				return false
			}
		}
	}
	return true
}
