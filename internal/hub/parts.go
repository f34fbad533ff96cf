package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A large model may be split into files NAME-00001-of-00005.gguf and so on. The first
// stands for the model: in lists, and as what is opened. It is fetched last, so that
// the model is complete where the first part is.

// partName matches the end of the name of a part.
var partName = regexp.MustCompile(`-(\d{5})-of-(\d{5})\.gguf$`)

// parts lists the names of all parts of the model that file is a part of; nil: it is
// whole.
func parts(file string) []string {
	m := partName.FindStringSubmatch(file)
	if m == nil {
		return nil
	}
	n, _ := strconv.Atoi(m[2]) // five digits
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%05d-of-%s.gguf", strings.TrimSuffix(file, m[0]), i+1, m[2]))
	}
	return names
}

// first is the part that stands for the model that file is a part of: file itself if
// it is whole.
func first(file string) string {
	if all := parts(file); all != nil {
		return all[0]
	}
	return file
}

// models leaves out all parts but the first of split models.
func models(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f != first(f) })
}

// located are the files of a repository that make up the model of this name, the first
// part first.
func located(files []repoFile, name string) ([]repoFile, error) {
	names := parts(name)
	if names == nil {
		names = []string{name}
	}
	var found []repoFile
	for _, n := range names {
		i := slices.IndexFunc(files, func(f repoFile) bool { return f.Path == n })
		if i < 0 {
			return nil, fmt.Errorf("it is not complete: the repository has no file %s", n)
		}
		found = append(found, files[i])
	}
	return found, nil
}

// checkPart refuses a part that does not begin like a model. Whether it is one shows
// when all parts are there.
func checkPart(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	short := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case err != nil && !short:
		return err
	case string(head) != "GGUF":
		return explainedError{fmt.Sprintf("not a GGUF file: it begins with %q", head[:n]), errNoModel}
	}
	return nil
}

// checkWhole opens a model all of whose parts are there. One that is no model is taken
// out of the store.
func checkWhole(target string) error {
	err := checkFetched(target, false)
	if !errors.Is(err, errNoModel) {
		return err
	}
	for _, part := range parts(target) {
		os.Remove(part)
		os.Remove(part + digestSuffix)
	}
	return fmt.Errorf("what was fetched is no model, and has been deleted: %w", err)
}

// sizeOfModel is the size of all its parts.
func sizeOfModel(path string) (n int64) {
	names := parts(path)
	if names == nil {
		return sizeOf(path)
	}
	for _, part := range names {
		n += sizeOf(part)
	}
	return n
}
