package hub

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// lock waits until no other process or goroutine fetches the file that is to
// be stored. Lock files stay: deleting one that others may be about to lock
// would let two of them in. They are empty.
func (s *Store) lock(ctx context.Context, stored string, progress Progress) (unlock func(), err error) {
	dir := filepath.Join(s.Root, ".lock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%x", sha256.Sum256([]byte(stored)))), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		locked, err := tryLock(f)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if locked {
			return func() { f.Close() }, nil // closing unlocks
		}
		progress("waiting for another download", sizeOf(s.at(stored)+partSuffix), -1)
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
