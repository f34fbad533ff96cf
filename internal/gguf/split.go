package gguf

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxParts bounds what a name may claim.
const maxParts = 1 << 10

// partsOf lists the files of a model that llama.cpp's tools have split, if path is one
// of them and all are there.
func partsOf(path string) []string {
	m := pieces.FindStringSubmatchIndex(path)
	if m == nil {
		return nil
	}
	count, _ := strconv.Atoi(path[m[4]:m[5]])
	if count < 2 || count > maxParts {
		return nil
	}
	paths := make([]string, count)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", path[:m[0]], i+1, count)
		if _, err := os.Stat(paths[i]); err != nil {
			return nil
		}
	}
	return paths
}

// openParts opens the parts of a split model as one file: the metadata is that of the
// first part, each has tensors of its own.
func openParts(paths []string) (_ *File, err error) {
	var meta []KV
	var tensors []Tensor
	var maps []*Mapping
	defer func() {
		if err != nil {
			for _, m := range maps {
				m.Close() // what is wrong is said already
			}
		}
	}()
	for i, path := range paths {
		m, err := Map(path)
		if err != nil {
			return nil, err
		}
		maps = append(maps, m)
		f, err := m.read(parseAny)
		if err != nil {
			return nil, err
		}
		no, _ := f.Uint("split.no")
		if count, _ := f.Uint("split.count"); count != uint64(len(paths)) || no != uint64(i) {
			return nil, &FormatError{File: path, Reason: fmt.Sprintf("is not part %d of %d, as its name says: fetch it again", i+1, len(paths))}
		}
		for _, kv := range f.meta {
			if i == 0 && !strings.HasPrefix(kv.Key, "split.") {
				meta = append(meta, kv)
			}
		}
		tensors = append(tensors, f.tensors...)
	}
	return Assemble(paths[0], meta, tensors, maps...)
}
