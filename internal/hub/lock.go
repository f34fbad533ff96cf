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
	dir := filepath.Join(s.Root, ".lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(stored))))
	l := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
	for {
		locked, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", name, err)
		}
		if locked {
			return func() { l.Close() }, nil
		}
		progress("waiting for another download", sizeOf(s.at(stored)+partSuffix), -1)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
