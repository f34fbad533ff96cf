package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A file of the store may have several names: it is one file on disk with several links,
// of which one is blobs/sha256-DIGEST. By it a pull finds what is there already under
// another name. Nothing depends on it: files of a store that is older than this, or on
// a disk without links, have their name only.

// blobDir is where the store keeps the links by digest.
const blobDir = "blobs"

func blobName(sum string) string { return blobDir + "/sha256-" + sum }

// adopt gives target the content with this digest if the store has it under another
// name. It is read and checked before.
func (s *Store) adopt(ctx context.Context, j job, progress Progress) (bool, error) {
	if j.sha256 == "" {
		return false, nil
	}
	target := s.at(j.stored)
	for _, from := range append([]string{blobName(j.sha256)}, s.withDigest(j.sha256)...) {
		source := s.at(from)
		if !isRegular(source) || j.size >= 0 && sizeOf(source) != j.size {
			continue
		}
		sum, err := digest(ctx, source, progress)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil || sum != j.sha256 {
			continue // damaged: it is fetched anew
		}
		if err := os.Link(source, target); err != nil {
			return false, nil // a disk without links has the file twice
		}
		return true, writeDigest(target, sum)
	}
	return false, nil
}

// withDigest lists the models and parts whose noted digest is sum.
func (s *Store) withDigest(sum string) (files []string) {
	for _, f := range s.allFiles() {
		if readDigest(s.at(f)) == sum {
			files = append(files, f)
		}
	}
	return files
}

// allFiles lists the files of models, all parts of split ones among them.
func (s *Store) allFiles() (files []string) {
	s.walk(func(name string, d fs.DirEntry) {
		if isGGUF(name) {
			files = append(files, name)
		}
	})
	return files
}

// walk calls f with each file of the store that is not in a folder with a dot.
func (s *Store) walk(f func(name string, d fs.DirEntry)) {
	fs.WalkDir(os.DirFS(s.Root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir():
			f(name, d)
		}
		return nil
	})
}

// keep gives a file that was verified its link by digest. Where the store has the
// content already, the file becomes a link to it.
func (s *Store) keep(target, sum string) {
	blob := s.at(blobName(sum))
	if os.MkdirAll(filepath.Dir(blob), 0o755) != nil {
		return
	}
	err := os.Link(target, blob)
	if !errors.Is(err, fs.ErrExist) || sameFile(target, blob) {
		return
	}
	have, err := digest(context.Background(), blob, func(string, int64, int64) {})
	if err != nil {
		return // what cannot be read at present may be right
	}
	if have != sum {
		if os.Remove(blob) == nil { // damaged
			os.Link(target, blob)
		}
		return
	}
	second := target + partSuffix
	if os.Link(blob, second) == nil && os.Rename(second, target) != nil {
		os.Remove(second)
	}
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// drop removes the link by digest of a file whose last name is gone.
func (s *Store) drop(sum string) {
	if sum != "" && len(s.withDigest(sum)) == 0 {
		os.Remove(s.at(blobName(sum)))
		s.prune(s.at(blobDir))
	}
}

// ErrName is wrapped by the error for a name that a copy cannot have.
var ErrName = errors.New("no name for a copy")

// ownName is the form of names that people give to models.
var ownName = regexp.MustCompile(`^[A-Za-z0-9][\w.-]{0,127}$`)

// Copy gives a model of the store a further name, under which it can be used and removed
// apart from the first. It takes no room on disk.
func (s *Store) Copy(from, to string) error {
	source, ok, err := s.Resolve(from)
	switch {
	case err != nil:
		return err
	case !ok || !s.holds(source):
		return fmt.Errorf("%s: %w: pull it first", from, ErrNotFetched)
	}
	return s.rename(context.Background(), source, to, func(string, int64, int64) {})
}

// Import is Copy, for files elsewhere, too: they are copied into the store.
func (s *Store) Import(ctx context.Context, from, to string, progress Progress) error {
	source, ok, err := s.Resolve(from)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("%s: %w: pull it first", from, ErrNotFetched)
	}
	if info, err := os.Stat(source); err != nil || info.IsDir() {
		return fmt.Errorf("%s is a folder: convert it first (penstock convert %s OUT.gguf)", from, from)
	}
	return s.rename(ctx, source, to, progress)
}

// rename gives a file a further name in the store.
func (s *Store) rename(ctx context.Context, source, to string, progress Progress) error {
	if s.NoRoot != nil {
		return s.NoRoot
	}
	if _, known := lookup(s.models, to); known || !ownName.MatchString(to) || isGGUF(to) {
		return fmt.Errorf("%w: %.100q; one has letters, digits, -, _ and . and is none of the catalogue's", ErrName, to)
	}
	if _, taken, err := s.short(to); errors.Is(err, errUnlisted) {
		return err
	} else if taken || err != nil {
		return fmt.Errorf("%w: there is a model %q already: remove it first (penstock rm %s), or take another name", ErrName, to, to)
	}
	files := parts(source)
	if files == nil {
		files = []string{source}
	}
	for _, f := range slices.Backward(files) { // the first part last: it stands for the model
		name := string(own) + "/" + to + ".gguf"
		if len(files) > 1 {
			name = string(own) + "/" + to + partName.FindString(f)
		}
		if err := s.copyFile(ctx, f, name, progress); err != nil {
			return diagnose(err, s.Root)
		}
	}
	return nil
}

// copyFile links or copies one file, and what the store notes of it.
func (s *Store) copyFile(ctx context.Context, source, stored string, progress Progress) error {
	target := s.at(stored)
	unlock, err := s.lock(ctx, stored, progress)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	sum := readDigest(source)
	if !s.holds(source) || os.Link(source, target) != nil {
		if err := s.checkSpace(sizeOf(source)); err != nil {
			return err
		}
		if sum, err = copyContent(ctx, source, target, progress); err != nil {
			return err
		}
	}
	if data, err := os.ReadFile(source + defaultsSuffix); err == nil {
		if err := os.WriteFile(target+defaultsSuffix, data, 0o644); err != nil {
			return err
		}
	}
	if sum == "" {
		return nil
	}
	s.keep(target, sum)
	return writeDigest(target, sum)
}

// holds reports whether a file is in the store.
func (s *Store) holds(file string) bool {
	absolute, err1 := filepath.Abs(file)
	root, err2 := filepath.Abs(s.Root)
	return err1 == nil && err2 == nil && strings.HasPrefix(absolute, root+string(filepath.Separator))
}

// copyContent copies a file by way of a part of it, and returns its digest.
func copyContent(ctx context.Context, source, target string, progress Progress) (sum string, err error) {
	in, err := os.Open(source)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if err := checkPart(source); err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	part := target + partSuffix
	out, err := os.Create(part)
	if err != nil {
		return "", err
	}
	defer os.Remove(part)
	w := &progressWriter{w: out, report: func(done int64) error {
		progress("copying", done, sizeOf(source))
		return ctx.Err()
	}}
	_, err = io.CopyBuffer(w, struct{ io.Reader }{in}, make([]byte, 1<<20))
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	if sum, err = digest(ctx, part, progress); err != nil {
		return "", err
	}
	return sum, os.Rename(part, target)
}

// Leftover is a file of the store that nothing needs.
type Leftover struct {
	Path string
	Size int64
	Why  string
}

// oldPart is the age from which a partial pull counts as given up.
const oldPart = 24 * time.Hour

// Prune lists what nothing in the store needs: content without a name, partial pulls that
// have not grown for a day, notes about files that are gone. With remove it deletes
// them. What a process works on at this moment is left alone.
func (s *Store) Prune(remove bool) (left []Leftover, err error) {
	if s.NoRoot != nil {
		return nil, s.NoRoot
	}
	var named []os.FileInfo
	for _, f := range s.allFiles() {
		if info, err := os.Stat(s.at(f)); err == nil {
			named = append(named, info)
		}
	}
	s.walk(func(name string, d fs.DirEntry) {
		info, err := d.Info()
		if err != nil {
			return
		}
		if why := s.uselessness(name, info, named); why != "" {
			left = append(left, Leftover{s.at(name), info.Size(), why})
		}
	})
	left = append(left, s.oldWork()...)
	if !remove {
		return left, nil
	}
	var failures []error
	removed := left[:0:0]
	for _, l := range left {
		if busy, err := s.removeUnlocked(l.Path); err != nil {
			failures = append(failures, err)
		} else if !busy {
			removed = append(removed, l)
		}
		s.prune(filepath.Dir(l.Path))
	}
	return removed, errors.Join(failures...)
}

// uselessness says why nothing needs a file; "": something does, or it is not ours.
func (s *Store) uselessness(name string, info fs.FileInfo, named []os.FileInfo) string {
	old := time.Since(info.ModTime()) > oldPart
	if path.Dir(name) == blobDir {
		if !strings.HasPrefix(path.Base(name), "sha256-") || slices.ContainsFunc(named, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
			return ""
		}
		return "content without a name"
	}
	for _, suffix := range []string{partSuffix + etagSuffix, partSuffix, digestSuffix, defaultsSuffix} {
		model, ok := strings.CutSuffix(name, suffix)
		if !ok || !isGGUF(model) {
			continue
		}
		if strings.HasPrefix(suffix, partSuffix) {
			if part, err := os.Stat(s.at(model) + partSuffix); old && (err != nil || time.Since(part.ModTime()) > oldPart) {
				return "a pull that was given up"
			}
			return ""
		}
		if old && !isRegular(s.at(model)) {
			return "a note about a file that is gone"
		}
	}
	return ""
}

// oldWork lists the folders of unfinished work in which nothing has changed for a day.
func (s *Store) oldWork() (left []Leftover) {
	entries, err := os.ReadDir(s.at(workDir))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		size, last := int64(0), time.Time{}
		folder := filepath.Join(s.at(workDir), e.Name())
		filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				last = time.Now() // what cannot be read may have changed
				return nil
			}
			if info, err := d.Info(); err == nil {
				if info.ModTime().After(last) {
					last = info.ModTime()
				}
				if info.Mode().IsRegular() {
					size += info.Size()
				}
			}
			return nil
		})
		if time.Since(last) > oldPart {
			left = append(left, Leftover{folder, size, "a pull that was given up"})
		}
	}
	return left
}

// removeUnlocked deletes a file or folder, unless a process has locked what it is of.
func (s *Store) removeUnlocked(file string) (busy bool, err error) {
	stored, err := s.storedAt(file)
	if err != nil {
		return false, err
	}
	for _, suffix := range []string{etagSuffix, partSuffix, digestSuffix, defaultsSuffix} {
		stored = strings.TrimSuffix(stored, suffix)
	}
	unlock, ok, err := s.tryLock(stored)
	if err != nil || !ok {
		return !ok, err
	}
	defer unlock()
	return false, os.RemoveAll(file)
}
