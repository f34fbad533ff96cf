package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/penstock-llm/penstock/internal/gguf"
)

// Beside FILE.gguf the store keeps FILE.gguf.sha256, in the format of sha256sum.
// While the file is downloaded it is called FILE.gguf.part. FILE.gguf.part.etag
// then holds the ETag that the server sent with it: it tells the next attempt
// whether the server still has the same file.
const (
	digestSuffix = ".sha256"
	partSuffix   = ".part"
	etagSuffix   = ".etag"
)

// job is a file that is to be fetched into the store.
type job struct {
	stored  string // where to
	size    int64  // -1 if it is not known
	sha256  string // empty if it is not known
	sources []source

	part     bool      // it is a part of a split model
	rest     []job     // the other parts, if it is the first
	defaults *Defaults // to be put beside it; nil: there are none
}

// source is a place that has the file. Its fetch brings part, which may hold the
// beginning of the file already, to its full length.
type source struct {
	name  string
	fetch func(ctx context.Context, part string, p retryPolicy, progress Progress) error
}

// plan finds out what to fetch for ref and from where.
func (s *Store) plan(ctx context.Context, ref reference) (job, error) {
	if ref.kind == catalogue {
		i := slices.IndexFunc(s.models, func(e Entry) bool { return e.File == ref.file })
		e := s.models[i]
		return job{stored: ref.stored(), size: e.Size, sha256: e.SHA256, sources: s.sources(e)}, nil
	}
	if ref.kind == oci {
		return s.planRegistry(ctx, ref)
	}
	if ref.kind == own {
		return job{}, ErrNotFetched
	}
	if ref.kind != huggingFace {
		return s.planFile(ref, remote{url: ref.url, size: -1, sha256: ref.sha256}), nil
	}
	files, err := s.locate(ctx, ref)
	if err != nil {
		return job{}, err
	}
	var jobs []job
	for _, file := range files {
		ref.file, ref.url = file.Path, s.fileURL(ref, file.Path)
		j := s.planFile(ref, remote{url: ref.url, size: file.Size, sha256: file.LFS.OID})
		j.part = len(files) > 1
		jobs = append(jobs, j)
	}
	j := jobs[0]
	j.rest = jobs[1:]
	return j, nil
}

// planFile is the job for one file of a known address.
func (s *Store) planFile(ref reference, r remote) job {
	j := job{stored: ref.stored(), size: r.size, sha256: r.sha256}
	j.sources = []source{{name: ref.url, fetch: func(ctx context.Context, part string, p retryPolicy, progress Progress) error {
		r.policy = p
		return s.download(ctx, r, part, progress)
	}}}
	return j
}

// sources are the places that may have a model of the catalogue, in the order in
// which they are tried.
func (s *Store) sources(e Entry) []source {
	var sources []source
	if e.repo != "" {
		sources = append(sources, source{"hf.co/" + e.repo, func(ctx context.Context, part string, p retryPolicy, progress Progress) error {
			return s.fetchPinned(ctx, e, part, p, progress)
		}})
	}
	for _, index := range s.Indexes {
		name := "the package index"
		if u, err := url.Parse(index); err == nil {
			name += " " + u.Host
		}
		sources = append(sources, source{name, func(ctx context.Context, part string, p retryPolicy, progress Progress) error {
			w := wheelhouse{store: s, entry: e, index: index, policy: p, progress: progress}
			if e.folder {
				return w.convert(ctx, part)
			}
			return w.fetch(ctx, part)
		}})
	}
	return sources
}

// completeAll brings all parts of a model into the store, the first one last.
func (s *Store) completeAll(ctx context.Context, j job, progress Progress) (string, error) {
	if err := s.checkSpace(s.missing(append(j.rest[:len(j.rest):len(j.rest)], j))); err != nil {
		return "", err
	}
	for _, part := range j.rest {
		if _, err := s.complete(ctx, part, progress); err != nil {
			return "", fmt.Errorf("%s: %w", path.Base(part.stored), err)
		}
	}
	target, err := s.complete(ctx, j, progress)
	if err == nil && j.part {
		err = checkWhole(target)
	}
	return target, err
}

// missing is how many bytes of the jobs' files are to be fetched, as far as that is
// known.
func (s *Store) missing(jobs []job) (n int64) {
	for _, j := range jobs {
		target := s.at(j.stored)
		if j.size > 0 && !isRegular(target) && (j.sha256 == "" || !isRegular(s.at(blobName(j.sha256)))) {
			n += j.size - sizeOf(target+partSuffix)
		}
	}
	return n
}

// complete brings the job's file into the store: fetched by us, or by another
// process while we wait for it.
func (s *Store) complete(ctx context.Context, j job, progress Progress) (string, error) {
	target := s.at(j.stored)
	unlock, err := s.lock(ctx, j.stored, progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if j.sha256 != "" { // who fetches the same under another name is waited for, too
		unlock, err := s.lock(ctx, blobName(j.sha256), progress)
		if err != nil {
			return "", err
		}
		defer unlock()
	}
	if isRegular(target) {
		if j.sha256 == "" {
			return target, nil
		}
		return target, checkPin(target, j.sha256)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	part := target + partSuffix
	if done, err := s.adopt(ctx, j, progress); done || err != nil {
		discard(part)
		if err == nil && j.defaults != nil {
			err = j.defaults.write(target)
		}
		return target, err
	}
	if err := s.fetchFromAny(ctx, j, part, progress); err != nil {
		if sizeOf(part) == 0 {
			discard(part)
			s.prune(filepath.Dir(target))
		}
		return "", err
	}
	os.RemoveAll(s.work(path.Base(j.stored)))
	s.prune(s.at(workDir))
	if j.defaults != nil {
		if err := j.defaults.write(target); err != nil {
			return "", err
		}
	}
	if err := os.Rename(part, target); err != nil {
		return "", err
	}
	s.keep(target, readDigest(target))
	return target, nil
}

// fetchFromAny tries the sources in order. All have the same file, so each goes on
// with what the one before has brought; the digest is checked at the end.
func (s *Store) fetchFromAny(ctx context.Context, j job, part string, progress Progress) error {
	var failures []string
	var last error
	for i, from := range j.sources {
		policy := s.retry
		if i+1 < len(j.sources) {
			policy = policy.withSpare()
		}
		_, err := os.Stat(part)
		resumed := err == nil
		a := attempt{from, part, policy}
		err = s.fetchAndVerify(ctx, j, a, progress)
		if resumed && errors.Is(err, errWrongDigest) {
			// The old part may have been the culprit. It is gone now.
			err = s.fetchAndVerify(ctx, j, a, progress)
		}
		var disk *fs.PathError
		if err == nil || ctx.Err() != nil || len(j.sources) == 1 || errors.As(err, &disk) {
			return err
		}
		last = err
		failure := from.name + ": " + brief(err)
		failures = append(failures, failure)
		if i+1 < len(j.sources) {
			s.Notice(failure + "; trying " + j.sources[i+1].name)
		}
	}
	return explainedError{
		strings.Join(failures, "; ") + ": check the network and proxy settings (HF_ENDPOINT and PIP_INDEX_URL name mirrors), or give the path of a .gguf file", last,
	}
}

// explainedError has a text for users in place of its cause's.
type explainedError struct {
	text  string
	cause error
}

func (e explainedError) Error() string { return e.text }

func (e explainedError) Unwrap() error { return e.cause }

// attempt is one source's try at the file.
type attempt struct {
	from   source
	part   string
	policy retryPolicy
}

// brief is err without the layers of a failed connection.
func brief(err error) string {
	if host, reason, ok := unreachable(err); ok {
		return fmt.Sprintf("cannot reach %s (%s)", host, reason)
	}
	return err.Error()
}

var errWrongDigest = errors.New("wrong digest")

// fetchAndVerify makes one attempt at the whole file. If it succeeds, part is
// complete and verified, and its digest is written beside the target. If it
// fails, part holds what a later attempt can go on with, or is gone.
func (s *Store) fetchAndVerify(ctx context.Context, j job, a attempt, progress Progress) error {
	part := a.part
	if err := a.from.fetch(ctx, part, a.policy, progress); err != nil {
		return err
	}
	sum, err := digest(ctx, part, progress)
	if err != nil {
		return err
	}
	if j.sha256 != "" && sum != j.sha256 {
		discard(part)
		return fmt.Errorf("%w: its SHA-256 is %s, not %s; what was fetched has been deleted, try again", errWrongDigest, sum, j.sha256)
	}
	switch err := checkFetched(part, j.part); {
	case errors.Is(err, errNoModel):
		discard(part)
		return fmt.Errorf("what was fetched is no model, and has been deleted: %w", err)
	case err != nil:
		return err
	}
	os.Remove(part + etagSuffix)
	return writeDigest(strings.TrimSuffix(part, partSuffix), sum)
}

// writeDigest notes the digest of the file at target.
func writeDigest(target, sum string) error {
	return os.WriteFile(target+digestSuffix, []byte(sum+"  "+filepath.Base(target)+"\n"), 0o644)
}

// errNoModel is wrapped by the error for a file that was read and is no model. A file that
// cannot be read at present may be one: what took hours to fetch is not given up for that.
var errNoModel = errors.New("no model")

// checkFetched refuses a file that is no model, or no part of one.
func checkFetched(path string, part bool) error {
	if part {
		return checkPart(path)
	}
	f, err := gguf.Open(path)
	var format *gguf.FormatError
	switch {
	case errors.As(err, &format):
		return explainedError{format.Problem(), errors.Join(errNoModel, err)} // without the name of the unfinished file
	case err != nil:
		return err
	}
	return f.Close()
}

func discard(part string) {
	os.Remove(part)
	os.Remove(part + etagSuffix)
}

// digest is the SHA-256 of the file at path.
func digest(ctx context.Context, path string, progress Progress) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	w := &progressWriter{w: h, report: func(done int64) error {
		progress("verifying", done, info.Size())
		return ctx.Err()
	}}
	if _, err := io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readDigest is what the store noted when it verified the file at path.
func readDigest(path string) string {
	b, err := os.ReadFile(path + digestSuffix)
	if err != nil {
		return ""
	}
	sum, _, _ := strings.Cut(string(b), " ")
	return sum
}

// checkPin refuses a file of the store whose SHA-256 is not want. The store has
// noted the digest of what it fetched; a file that was put there by hand is read.
func checkPin(path, want string) error {
	sum := readDigest(path)
	if sum == "" {
		var err error
		if sum, err = digest(context.Background(), path, func(string, int64, int64) {}); err != nil {
			return err
		}
	}
	if sum != want {
		return fmt.Errorf("%s has SHA-256 %s, not %s: remove it to fetch the other", path, sum, want)
	}
	return nil
}

// progressWriter reports what has been written, and stops if report says so.
type progressWriter struct {
	w      io.Writer
	done   int64
	report func(done int64) error
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.done += int64(n)
	if err == nil {
		err = p.report(p.done)
	}
	return n, err
}

// diagnose adds what to do about an error that does not say it itself.
func diagnose(err error, root string) error {
	host, reason, unreachable := unreachable(err)
	var explained explainedError
	switch {
	case errors.As(err, &explained):
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the disk is full: make room at %s, or keep models elsewhere with PENSTOCK_MODELS: %w", root, err)
	case errors.Is(err, syscall.EROFS):
		return explainedError{fmt.Sprintf("%s cannot be written to (read-only file system): mount it for writing, or keep models elsewhere with PENSTOCK_MODELS", root), err}
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to write: keep models elsewhere with PENSTOCK_MODELS: %w", err)
	case unreachable:
		return explainedError{fmt.Sprintf("cannot reach %s (%s): check the network and proxy settings, or give the path of a .gguf file that is here", host, reason), err}
	}
	return err
}
