package access

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofrs/flock"
)

// ReadFile reads a file of keys. Empty lines and lines that begin with # do not
// count. A file without keys is no error here.
func ReadFile(path string) ([]Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	return parse(text)
}

// parse reads the text of a file of keys.
func parse(text []byte) ([]Key, error) {
	lines, err := split(text)
	if err != nil {
		return nil, err
	}
	var keys []Key
	for i, line := range lines {
		if isComment(line) {
			continue
		}
		k, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		for _, other := range keys {
			switch {
			case other.Plain && k.Plain && other.Digest == k.Digest: // the same key twice does no harm
			case other.Name == k.Name:
				return nil, fmt.Errorf("line %d: there is another key named %s: names are for one key each", i+1, k.Name)
			case other.Digest == k.Digest:
				return nil, fmt.Errorf("line %d: %s is the same key as %s", i+1, k.Name, other.Name)
			}
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

// split cuts a file into lines. It removes the mark that some editors begin UTF-8
// files with, and refuses what is not UTF-8.
func split(text []byte) ([]string, error) {
	if bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}) || bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it is UTF-16 or binary: save it as UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8: save it as UTF-8")
	}
	return strings.Split(string(text), "\n"), nil
}

// Add makes a new key for k, whose digest it sets, and appends it to a file, which
// it makes if there is none. The key itself is returned and stored nowhere.
func Add(path string, k Key) (secret string, err error) {
	if err := CheckName(k.Name); err != nil {
		return "", err
	}
	secret = generate()
	k.Digest = Digest(secret)
	err = edit(path, func(lines []string) ([]string, error) {
		if find(lines, k.Name) >= 0 {
			return nil, fmt.Errorf("there is a key named %s already: remove it first, or choose another name", k.Name)
		}
		for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
			lines = lines[:len(lines)-1]
		}
		return append(lines, k.line(), ""), nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Remove takes the key of a name off a file.
func Remove(path, name string) error {
	return edit(path, func(lines []string) ([]string, error) {
		i := find(lines, name)
		if i < 0 {
			return nil, fmt.Errorf("there is no key named %s: `penstock key list` shows those that there are", clip(name))
		}
		return slices.Delete(lines, i, i+1), nil
	})
}

// find is the index of the line with the key of a name, or -1.
func find(lines []string, name string) int {
	return slices.IndexFunc(lines, func(line string) bool {
		if isComment(line) {
			return false
		}
		k, err := parseLine(line)
		return err == nil && k.Name == name
	})
}

// edit changes the lines of a file of keys. One edit at a time has the file, also
// among processes. A new file takes the old one's place at once, so that a reader
// sees one of the two, whatever happens in between.
func edit(path string, change func(lines []string) ([]string, error)) error {
	path, err := target(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("cannot lock it: %w", err)
	}
	defer lock.Close()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return withoutPath(err)
	}
	if _, err := parse(text); err != nil {
		return err // what is wrong already is for a person to mend
	}
	lines, err := split(text)
	if err != nil {
		return err
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	return replace(path, []byte(strings.Join(lines, "\n")))
}

// target is the file that a path leads to, so that a symbolic link stays one.
func target(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}

// replace writes a file that only its owner can read, beside the old one, and puts
// it in its place when all of it is on disk.
func replace(path string, text []byte) (err error) {
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(part.Name())
		}
	}()
	_, err = part.Write(text)
	if err == nil {
		err = part.Sync()
	}
	if e := part.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// withoutPath is an error about a file without the file's name, which the caller
// adds.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
