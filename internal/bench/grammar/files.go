package grammar

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/ulikunitz/xz"
)

// file is a schema with the instances that are to be accepted or rejected.
type file struct {
	name string
	text []byte
}

// content is what a file holds.
type content struct {
	Schema json.RawMessage `json:"schema"`
	Tests  []struct {
		Valid bool            `json:"valid"`
		Data  json.RawMessage `json:"data"`
	} `json:"tests"`
}

// set is the collection that a file belongs to: what its name begins with.
func (f file) set() string {
	name, _, _ := strings.Cut(strings.TrimSuffix(f.name, ".json"), "---")
	if i := strings.IndexByte(name, '_'); i >= 0 && !strings.HasPrefix(name, "Github_") {
		name = name[:i]
	}
	return name
}

// maxFile bounds a file, so that a wrong path does not fill the memory.
const maxFile = 64 << 20

// read collects the JSON files that paths name: files, folders of files, and tar archives, which may be compressed by xz.
func read(paths []string) ([]file, error) {
	var out []file
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			err = readFolder(path, &out)
		case strings.HasSuffix(path, ".tar"), strings.HasSuffix(path, ".tar.xz"):
			err = readArchive(path, &out)
		default:
			err = readFile(path, &out)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no .json file in what was named")
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}

func readFile(path string, out *[]file) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return add(filepath.Base(path), f, out)
}

func add(name string, in io.Reader, out *[]file) error {
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	*out = append(*out, file{name, text})
	return nil
}

func readFolder(path string, out *[]file) error {
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".json" {
			return err
		}
		return readFile(p, out)
	})
}

func readArchive(path string, out *[]file) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".xz") {
		if in, err = xz.NewReader(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	archive := tar.NewReader(in)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if h.Typeflag == tar.TypeReg && filepath.Ext(h.Name) == ".json" {
			if err := add(filepath.Base(h.Name), archive, out); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
}

// written is a JSON value as Python's json.dumps writes it, but with the characters themselves: ", " and ": " between elements, numbers as they
// were.
func written(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var b bytes.Buffer
	if err := write(dec, &b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func write(dec *json.Decoder, b *bytes.Buffer) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if d, ok := token.(json.Delim); ok {
		return writeInside(dec, b, rune(d))
	}
	return writeScalar(b, token)
}

func writeInside(dec *json.Decoder, b *bytes.Buffer, open rune) error {
	b.WriteRune(open)
	for i := 0; dec.More(); i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		if open == '{' {
			if err := write(dec, b); err != nil {
				return err
			}
			b.WriteString(": ")
		}
		if err := write(dec, b); err != nil {
			return err
		}
	}
	shut, err := dec.Token()
	if err != nil {
		return err
	}
	b.WriteString(shut.(json.Delim).String())
	return nil
}

func writeScalar(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // Encode ends the line
	return nil
}
