package prefixstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	modelName  = 16 // characters of a subfolder's name
	unfinished = "unfinished-"
	behind     = time.Microsecond // how much less lately a block counts as used than the one that it follows

	// restFor is how long nothing is written after a write has failed, as when the
	// disk is full.
	restFor = time.Minute
)

// ErrResting is the error of a write soon after one that failed.
var ErrResting = errors.New("the last block could not be written a moment ago")

// Model is the part of a store that belongs to one model.
type Model struct {
	store *Store
	root  Key
	name  string
}

// Model is the part of the store that has the blocks behind a root. Its folder is made
// when there is something to write: a store that fails keeps no model from being served.
func (s *Store) Model(root Key) *Model {
	return &Model{store: s, root: root, name: root.String()[:modelName]}
}

// Root is the key before the first block.
func (m *Model) Root() Key { return m.root }

// Stored is the number of leading blocks that are in the folder. They count as used now,
// each a little before the one that it follows: a block is of no use without those before
// it, so that they go last.
func (m *Model) Stored(keys []Key) int {
	s := m.store
	s.mu.Lock()
	n := 0
	for n < len(keys) && s.files[keys[n]] != nil {
		n++
	}
	var stale []entry
	now := time.Now()
	for i, k := range slices.Backward(keys[:n]) {
		at := s.files[k]
		s.order.MoveToFront(at)
		e := at.Value.(*entry)
		if e.used = now.Add(time.Duration(-i) * behind); e.used.Sub(e.stamp) > refresh {
			e.stamp = e.used
			stale = append(stale, *e)
		}
	}
	s.mu.Unlock()
	for _, e := range stale {
		_ = os.Chtimes(s.path(&e), e.used, e.used) // it only keeps the order over a restart
	}
	return n
}

// Read reads a block into b, whose Full and Window have room for what was written. Window
// is empty afterwards if the block was written without one. A block that is damaged or
// gone is forgotten; after other errors, such as too many open files, it stays.
func (m *Model) Read(key Key, b *Block) error {
	s := m.store
	err := read(filepath.Join(s.dir, m.name, key.String()), key, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.counts.Read++
		return nil
	}
	damaged := errors.Is(err, ErrDamaged)
	if at := s.files[key]; at != nil && (damaged || errors.Is(err, fs.ErrNotExist)) {
		if damaged {
			s.counts.Damaged++
		}
		s.remove(at)
	}
	return err
}

// Write puts a block into the folder, unless it is there. Others go for it if the limit
// asks for it; where those that are being written take all the room, it is left out.
func (m *Model) Write(key Key, b *Block) error {
	e := &entry{key: key, model: m.name, bytes: int64(headSize + len(b.Full) + len(b.Window))}
	temporary, err := m.reserve(e, b.Parent)
	if temporary == "" {
		return err
	}
	s := m.store
	err = put(temporary, s.path(e), b, e.used)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bytes -= e.bytes
		s.counts.Failed++
		s.broken = time.Now()
		return fmt.Errorf("folder of prefixes: %w", err)
	}
	s.counts.Written++
	if s.files[key] != nil { // another engine has written the same meanwhile: it is one file
		s.bytes -= e.bytes
	} else if at := s.files[b.Parent]; at != nil {
		s.files[key] = s.order.InsertAfter(e, at)
	} else {
		s.files[key] = s.order.PushFront(e)
	}
	return nil
}

// reserve makes room for a block that is to be written behind another, counts its bytes,
// so that nobody else takes the room meanwhile, and sets its times. temporary is where to
// write it first; it is empty where the block is not to be written.
func (m *Model) reserve(e *entry, parent Key) (temporary string, err error) {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[e.key] != nil || e.bytes > s.limit {
		return "", nil
	}
	if time.Since(s.broken) < restFor {
		s.counts.Failed++
		return "", ErrResting
	}
	if s.shrink(s.limit - e.bytes); s.bytes > s.limit-e.bytes {
		return "", nil
	}
	s.bytes += e.bytes
	s.writes++
	e.used = time.Now()
	if at := s.files[parent]; at != nil {
		e.used = at.Value.(*entry).used.Add(-behind)
	}
	e.stamp = e.used
	return filepath.Join(s.dir, m.name, fmt.Sprintf("%s%d", unfinished, s.writes)), nil
}

// put writes a file under another name first, so that it is whole or not there.
func put(temporary, path string, b *Block, used time.Time) error {
	f, err := create(temporary)
	if err != nil {
		return err
	}
	err = errors.Join(write(f, b), f.Close())
	if err == nil {
		err = os.Chtimes(temporary, used, used)
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // the next start removes it otherwise
	}
	return err
}

// create makes a file, and the model's folder if that is missing; that of the store, which
// is locked, must be there.
func create(file string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	f, err := os.OpenFile(file, flags, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.OpenFile(file, flags, 0o600)
}

// Recent are the keys of up to n blocks that were used last, each after the one that it
// follows. Blocks whose beginning is not among them are left out.
func (m *Model) Recent(n int) []Key {
	s := m.store
	s.mu.Lock()
	var newest []Key
	for at := s.order.Front(); at != nil && len(newest) < n; at = at.Next() {
		if e := at.Value.(*entry); e.model == m.name {
			newest = append(newest, e.key)
		}
	}
	s.mu.Unlock()
	after := map[Key][]Key{}
	buf := make([]byte, headSize)
	for _, k := range newest {
		if parent, err := m.parent(k, buf); err == nil {
			after[parent] = append(after[parent], k)
		}
	}
	var list []Key
	for stack := []Key{m.root}; len(stack) > 0; {
		k := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if k != m.root {
			list = append(list, k)
		}
		for _, next := range slices.Backward(after[k]) {
			stack = append(stack, next)
		}
	}
	return list
}

// parent is the key of the block before another, as its file says.
func (m *Model) parent(k Key, buf []byte) (Key, error) {
	f, err := os.Open(filepath.Join(m.store.dir, m.name, k.String()))
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	h, err := readHead(f, buf)
	return h.Parent, err
}
