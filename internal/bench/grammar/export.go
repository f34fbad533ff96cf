package grammar

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// exported is the first line of an export: the vocabulary. Control tokens have an empty piece.
type exported struct {
	Pieces  [][]byte `json:"pieces"`
	Ends    []int32  `json:"ends"`
	Special []int32  `json:"special"` // the control tokens
	Spelt   []string `json:"spelt"`   // the tokens as the model's file has them
	Merges  []string `json:"merges"`  // empty for a tokenizer without them
}

// exportedFile is each other line.
type exportedFile struct {
	File   string          `json:"file"`
	Set    string          `json:"set"`
	Schema json.RawMessage `json:"schema"`
	Tests  []exportedTest  `json:"tests"`
}

type exportedTest struct {
	Valid  bool    `json:"valid"`
	Tokens []int32 `json:"tokens"`
}

// export writes what another program needs to walk the same instances in the same way.
func (v *vocabulary) export(path string, files []file) (err error) {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if failed := out.Close(); err == nil && failed != nil {
			err = failed
		}
	}()
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	head := exported{Pieces: v.pieces, Ends: v.ends, Spelt: v.spelt, Merges: v.merges}
	for t, p := range v.pieces {
		if len(p) == 0 {
			head.Special = append(head.Special, int32(t))
		}
	}
	if err := enc.Encode(head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, f := range files {
		line, err := v.exportFile(f)
		if err != nil {
			return err
		}
		if err := enc.Encode(line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return nil
}

func (v *vocabulary) exportFile(f file) (*exportedFile, error) {
	var c content
	if err := json.Unmarshal(f.text, &c); err != nil {
		return nil, fmt.Errorf("%s: not a schema with tests: %w", f.name, err)
	}
	line := &exportedFile{File: f.name, Set: f.set(), Schema: c.Schema, Tests: []exportedTest{}}
	for i, t := range c.Tests {
		text, err := written(t.Data)
		if err != nil {
			return nil, fmt.Errorf("%s: instance %d: %w", f.name, i, err)
		}
		line.Tests = append(line.Tests, exportedTest{t.Valid, v.tok.Encode(string(text), false, false)})
	}
	return line, nil
}
