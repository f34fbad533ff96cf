package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long files have to be left alone before they are read again: who
// replaces a certificate and its key writes one after the other.
const settle = 200 * time.Millisecond

// Watch calls changed after the content of one of the files has changed, until ctx
// ends, and once at the beginning: the files may have changed since they were read.
// It watches the folders that the files are in, because editors, `penstock
// key` and Kubernetes put a new file or link in the place of the old one.
func Watch(ctx context.Context, files []string, changed func()) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch files: %w", err)
	}
	var folders []string
	for _, f := range files {
		if dir := filepath.Dir(f); !slices.Contains(folders, dir) {
			folders = append(folders, dir)
		}
	}
	for _, dir := range folders {
		if err := watcher.Add(dir); err != nil {
			watcher.Close()
			return fmt.Errorf("cannot watch %s: %w", dir, err)
		}
	}
	go func() {
		defer watcher.Close()
		follow(ctx, watcher, files, changed)
	}()
	return nil
}

// follow waits for events until ctx ends.
func follow(ctx context.Context, watcher *fsnotify.Watcher, files []string, changed func()) {
	var before [sha256.Size]byte // of nothing, so that the first look finds a change
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-watcher.Events:
			if !ok {
				return
			}
			quiet.Reset(settle)
		case _, ok := <-watcher.Errors: // events were lost: look
			if !ok {
				return
			}
			quiet.Reset(settle)
		case <-quiet.C:
			if now := state(files); now != before {
				before = now
				changed()
			}
		}
	}
}

// state is a digest of what the files hold.
func state(files []string) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		sum := sha256.Sum256(text)
		fmt.Fprintln(h, err != nil, sum)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
