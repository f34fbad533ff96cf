package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// copies is the directory of the store for models that were given another name.
const copies = "copies"

// ErrName is wrapped by Copy's error for a name that a copy cannot have.
var ErrName = errors.New("no name for a copy")

// copyName is what copies may be called, which has no place in it.
var copyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Copy gives a model of the store another name, under which it can be used and
// removed apart from the first. It takes no more space: both are the same file.
func (s *Store) Copy(source, name string) error {
	file, ok, err := s.Resolve(source)
	switch {
	case err != nil:
		return err
	case !ok || !s.holds(file):
		return fmt.Errorf("%s: %w", source, ErrNotFetched)
	case !copyName.MatchString(name):
		return fmt.Errorf("%w: %q; one has letters, digits, dots, underscores and hyphens", ErrName, name)
	case parts(file) != nil:
		return fmt.Errorf("%w: %s is split into several files", ErrName, source)
	}
	if other, taken := s.taken(name); taken {
		return fmt.Errorf("%w: %s is the model %s already", ErrName, name, other)
	}
	target := s.at(path.Join(copies, name+".gguf"))
	if err := os.MkdirAll(s.at(copies), 0o755); err != nil {
		return err
	}
	if err := os.Link(file, target); err != nil {
		return fmt.Errorf("%s cannot have another name here: %w", source, err)
	}
	err = os.Link(file+digestSuffix, target+digestSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, os.Remove(target))
	}
	return nil
}

// holds reports whether a file is one of the store's own models.
func (s *Store) holds(file string) bool {
	for _, stored := range s.filesIn(".") {
		if s.at(stored) == file {
			return true
		}
	}
	return false
}

// taken is the model that a name stands for already.
func (s *Store) taken(name string) (model string, taken bool) {
	if e, ok := lookup(s.models, name); ok {
		return e.Name, true
	}
	for _, stored := range s.filesIn(".") {
		if strings.EqualFold(stem(stored), stem(name)) {
			return s.longName(stored), true
		}
	}
	return "", false
}
