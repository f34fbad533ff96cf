//go:build unix && !solaris && !aix

package hub

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock on f unless somebody has it. It is dropped when f is
// closed, also by a crash.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
