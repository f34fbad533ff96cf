package prefixstore

import (
	"container/list"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// ErrInUse is wrapped by the error of Open for a folder that another process has open.
var ErrInUse = errors.New("another process uses it")

// refresh is how old the time of a file's last use may be before it is written again:
// a prompt has thousands of blocks, and the order of days is enough after a restart.
const refresh = time.Hour

// Store is a folder. Its methods may be called from any goroutine.
type Store struct {
	dir   string
	limit int64
	lock  *flock.Flock

	mu     sync.Mutex
	files  map[Key]*list.Element // of *entry
	order  *list.List            // the block that was used last comes first
	bytes  int64                 // of the blocks in the folder, and of those that are being written
	counts Counts
	writes int // names of the files that are being written
	broken time.Time
}

// Counts only ever grow, but for Blocks and Bytes.
type Counts struct {
	Blocks  int   // in the folder
	Bytes   int64 // that their files have
	Written int64 // blocks
	Read    int64 // blocks
	Removed int64 // blocks, to keep to the limit
	Damaged int64 // files that were not what was written, and are gone
	Failed  int64 // blocks that could not be written
}

// entry is a block that is in the folder.
type entry struct {
	key   Key
	model string // the subfolder's name
	bytes int64
	used  time.Time // a little earlier than that of the block before it
	stamp time.Time // what the file says of it
}

// Open opens a folder, and makes it where it is missing. More than limit bytes are never
// in it. Only one process may have it open.
func Open(dir string, limit int64) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of prefixes: %w", err)
	}
	s := &Store{dir: dir, limit: limit, lock: flock.New(filepath.Join(dir, "lock")), files: map[Key]*list.Element{}, order: list.New()}
	switch held, err := s.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("folder of prefixes %s: %w", dir, err)
	case !held:
		return nil, fmt.Errorf("folder of prefixes %s: %w: give each server a folder of its own", dir, ErrInUse)
	}
	if err := s.scan(); err != nil {
		return nil, errors.Join(fmt.Errorf("folder of prefixes: %w", err), s.lock.Unlock())
	}
	return s, nil
}

// scan lists what is there, and removes what was being written when a process ended.
func (s *Store) scan() error {
	var found []*entry
	models, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, m := range models {
		if !m.IsDir() || len(m.Name()) != modelName {
			continue
		}
		files, err := os.ReadDir(filepath.Join(s.dir, m.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			if strings.HasPrefix(f.Name(), unfinished) {
				_ = os.Remove(filepath.Join(s.dir, m.Name(), f.Name())) // it is tried again at the next start
				continue
			}
			info, err := f.Info()
			name, bad := hex.DecodeString(f.Name())
			if err != nil || bad != nil || len(name) != len(Key{}) {
				continue
			}
			found = append(found, &entry{key: Key(name), model: m.Name(), bytes: info.Size(), used: info.ModTime(), stamp: info.ModTime()})
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return b.used.Compare(a.used) })
	for _, e := range found {
		s.files[e.key] = s.order.PushBack(e)
		s.bytes += e.bytes
	}
	s.shrink(s.limit)
	return nil
}

// shrink removes the blocks that were not used for the longest time until the others
// have at most so many bytes. s.mu is held, or nobody else knows s.
func (s *Store) shrink(most int64) {
	for s.bytes > most && s.order.Len() > 0 {
		s.remove(s.order.Back())
		s.counts.Removed++
	}
}

// remove takes a block out of the folder. s.mu is held.
func (s *Store) remove(at *list.Element) {
	e := s.order.Remove(at).(*entry)
	delete(s.files, e.key)
	s.bytes -= e.bytes
	_ = os.Remove(s.path(e)) // a file that stays is found, and counted, at the next start
}

func (s *Store) path(e *entry) string { return filepath.Join(s.dir, e.model, e.key.String()) }

// Counts are the totals so far.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Blocks, c.Bytes = s.order.Len(), s.bytes
	return c
}

// Close lets other processes open the folder.
func (s *Store) Close() error { return s.lock.Unlock() }
