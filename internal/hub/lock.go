package hub

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock waits until no other process or goroutine fetches the file that is to be
// stored. The system drops the lock when its holder ends, also by a crash. Lock
// files are empty and stay: if one were deleted while another process is about
// to lock it, that process and the next would hold locks on different files.
func (s *Store) lock(ctx context.Context, stored string, progress Progress) (unlock func(), err error) {
	for {
		unlock, locked, err := s.tryLock(stored)
		if err != nil || locked {
			return unlock, err
		}
		progress("waiting for another download", sizeOf(s.at(stored)+partSuffix), -1)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock is lock without the wait. ok is false while another holds the lock.
func (s *Store) tryLock(stored string) (unlock func(), ok bool, err error) {
	dir := filepath.Join(s.Root, ".lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, false, err
	}
	name := filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(stored))))
	l := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
	if ok, err = l.TryLock(); err != nil {
		return nil, false, fmt.Errorf("locking %s: %w", name, err)
	}
	return func() { l.Close() }, ok, nil
}
