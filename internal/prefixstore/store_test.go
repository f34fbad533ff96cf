package prefixstore

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/alloctest"
	"github.com/penstock-llm/penstock/internal/batch"
)

const roomy = 1 << 20

func open(t *testing.T, dir string, limit int64) (*Store, *Model) {
	t.Helper()
	s, err := Open(dir, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.Model(Root("model", "i16"))
}

// prompt is so many blocks of tokens.
func prompt(blocks int, first int32) []int32 {
	tokens := make([]int32, blocks*batch.BlockTokens)
	for i := range tokens {
		tokens[i] = first + int32(i)
	}
	return tokens
}

// content is a block's bytes, told apart by one of them.
func content(b byte) []byte { return slices.Repeat([]byte{b, b + 1}, 50) }

// save writes the blocks of a prompt.
func save(t *testing.T, m *Model, tokens []int32) []Key {
	t.Helper()
	keys, parent := m.Root().Keys(tokens), m.Root()
	for i, k := range keys {
		b := &Block{Parent: parent, Tokens: tokens[i*batch.BlockTokens:][:batch.BlockTokens], Full: content(byte(i))}
		if i%2 == 1 {
			b.Window = content(byte(100 + i))[:30]
		}
		if err := m.Write(k, b); err != nil {
			t.Fatal(err)
		}
		parent = k
	}
	return keys
}

func buffer() *Block { return &Block{Full: make([]byte, 100), Window: make([]byte, 30)} }

// What was written is found again, by this process and by the next.
func TestBlocksOutlastTheProcess(t *testing.T) {
	dir := t.TempDir()
	s, m := open(t, dir, roomy)
	tokens := prompt(5, 7)
	keys := save(t, m, tokens)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, m = open(t, dir, roomy)
	if n := m.Stored(m.Root().Keys(append(slices.Clone(tokens), prompt(2, 9)...))); n != 5 {
		t.Errorf("%d blocks are found, want 5", n)
	}
	for i, k := range keys {
		b := buffer()
		if err := m.Read(k, b); err != nil {
			t.Fatal(err)
		}
		window := i%2*30 == len(b.Window)
		if !slices.Equal(b.Full, content(byte(i))) || !window || !slices.Equal(b.Tokens, tokens[i*batch.BlockTokens:][:batch.BlockTokens]) {
			t.Errorf("block %d came back as %+v", i, b)
		}
	}
	if c := s.Counts(); c.Blocks != 5 || c.Read != 5 || c.Bytes != 5*int64(headSize+100)+2*30 {
		t.Errorf("counts: %+v", c)
	}
	if recent := m.Recent(9); !slices.Equal(recent, keys) {
		t.Errorf("recent: %v, want %v", recent, keys)
	}
}

// Other tokens, another place in the prompt or another model: another key.
func TestKeys(t *testing.T) {
	a := Root("model", "i16").Keys(prompt(3, 1))
	same := Root("model", "i16").Keys(append(prompt(3, 1), 1, 2, 3))
	if !slices.Equal(a, same) {
		t.Error("the same tokens have other keys, or a block that is not full has one")
	}
	for name, b := range map[string][]Key{
		"tokens": Root("model", "i16").Keys(prompt(3, 2)), "model": Root("other", "i16").Keys(prompt(3, 1)),
		"parts": Root("modeli", "16").Keys(prompt(3, 1)), "place": Root("model", "i16").Keys(prompt(6, 1))[3:],
	} {
		for i := range a {
			if a[i] == b[i] {
				t.Errorf("%s: block %d has the same key", name, i)
			}
		}
	}
	if n := alloctest.PerRun(10, func() { a[0].Next(prompt3) }); n != 0 {
		t.Errorf("a key costs %v allocations", n)
	}
}

var prompt3 = prompt(1, 3)

// A file that is not what was written is no block, and is gone after the first look.
func TestDamage(t *testing.T) {
	for name, spoil := range map[string]func(path string, data []byte) error{
		"cut":     func(p string, d []byte) error { return os.WriteFile(p, d[:len(d)-1], 0o600) },
		"empty":   func(p string, _ []byte) error { return os.WriteFile(p, nil, 0o600) },
		"bit":     func(p string, d []byte) error { d[len(d)-3] ^= 4; return os.WriteFile(p, d, 0o600) },
		"token":   func(p string, d []byte) error { d[headSize-2] ^= 4; return os.WriteFile(p, d, 0o600) },
		"length":  func(p string, d []byte) error { d[12] ^= 1; return os.WriteFile(p, d, 0o600) },
		"version": func(p string, d []byte) error { d[7]++; return os.WriteFile(p, d, 0o600) },
		"gone":    func(p string, _ []byte) error { return os.Remove(p) },
		"another's": func(p string, _ []byte) error {
			other, err := os.ReadFile(filepath.Join(filepath.Dir(p), Root("model", "i16").Keys(prompt(1, 1))[0].String()))
			return errors.Join(err, os.WriteFile(p, other, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, m := open(t, dir, roomy)
			keys := save(t, m, prompt(3, 1))
			path := filepath.Join(dir, m.name, keys[1].String())
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(path, data); err != nil {
				t.Fatal(err)
			}
			if err := m.Read(keys[1], buffer()); !errors.Is(err, ErrDamaged) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("read: %v", err)
			}
			if n := m.Stored(keys); n != 1 {
				t.Errorf("%d blocks are found, want the one before it", n)
			}
			if c := s.Counts(); c.Blocks != 2 || c.Damaged != 1 && name != "gone" {
				t.Errorf("counts: %+v", c)
			}
		})
	}
}

// The folder keeps to its limit: what was not used for the longest time goes, and the
// end of a prompt before its beginning.
func TestLimit(t *testing.T) {
	dir := t.TempDir()
	one := int64(headSize + 100)
	s, m := open(t, dir, 4*(one+30))
	first := save(t, m, prompt(2, 1))
	second := save(t, m, prompt(2, 50))
	m.Stored(first) // used again
	third := save(t, m, prompt(1, 99))
	if a, b, c := m.Stored(first), m.Stored(second), m.Stored(third); a != 2 || b != 1 || c != 1 {
		t.Errorf("%d, %d and %d blocks are left, want 2, 1 and 1", a, b, c)
	}
	if c := s.Counts(); c.Removed != 1 || c.Bytes > 4*(one+30) {
		t.Errorf("counts: %+v", c)
	}
	s.Close()
	s, m = open(t, dir, 2*one)
	if a, b, c := m.Stored(first), m.Stored(second), m.Stored(third); a+b+c != 2 {
		t.Errorf("with a lower limit %d, %d and %d blocks are left, want 2 in all", a, b, c)
	}
	if err := m.Write(Key{1}, &Block{Tokens: prompt(1, 5), Full: make([]byte, 3*one)}); err != nil || s.Counts().Blocks != 2 {
		t.Errorf("a block beyond the limit: %v, %+v", err, s.Counts())
	}
}

// The folder keeps to its limit also while several engines write at once.
func TestLimitOfSeveralWriters(t *testing.T) {
	one := int64(headSize + 100)
	s, m := open(t, t.TempDir(), 3*one)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 20 {
				tokens := prompt(1, int32(1000*i+n))
				b := &Block{Parent: m.Root(), Tokens: tokens, Full: content(byte(i))}
				if err := m.Write(m.Root().Next(tokens), b); err != nil {
					t.Error(err)
				}
				if c := s.Counts(); c.Bytes > 3*one {
					t.Errorf("%d bytes, want at most %d", c.Bytes, 3*one)
				}
			}
		})
	}
	all.Wait()
	if c := s.Counts(); c.Bytes != int64(c.Blocks)*one || c.Written < 20 {
		t.Errorf("counts: %+v", c)
	}
}

// Two engines that write the same block have written one.
func TestSameBlockTwice(t *testing.T) {
	s, m := open(t, t.TempDir(), roomy)
	b := Block{Parent: m.Root(), Tokens: prompt(1, 1), Full: content(1)}
	key := m.Root().Next(b.Tokens)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			mine := b
			if err := m.Write(key, &mine); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if c := s.Counts(); c.Blocks != 1 || c.Bytes != int64(headSize+100) {
		t.Errorf("counts: %+v", c)
	}
}

// A file that cannot be read at present is no reason to give up its block.
func TestTroubleThatPasses(t *testing.T) {
	dir := t.TempDir()
	s, m := open(t, dir, roomy)
	keys := save(t, m, prompt(1, 1))
	path := filepath.Join(dir, m.name, keys[0].String())
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.Read(keys[0], buffer()); err == nil {
		t.Error("a folder was read")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := m.Read(keys[0], buffer()); err != nil || m.Stored(keys) != 1 || s.Counts().Damaged != 0 {
		t.Errorf("afterwards: %v, %+v", err, s.Counts())
	}
}

// A folder is one process's.
func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, roomy)
	if _, err := Open(dir, roomy); !errors.Is(err, ErrInUse) {
		t.Errorf("a second opening: %v", err)
	}
	s.Close()
	open(t, dir, roomy)
	if _, err := Open(filepath.Join(dir, "lock"), roomy); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// What was being written when a process was killed is swept away.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s, m := open(t, dir, roomy)
	keys := save(t, m, prompt(2, 1))
	s.Close()
	left := filepath.Join(dir, m.name, unfinished+"7")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, m = open(t, dir, roomy)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file: %v", err)
	}
	if n := m.Stored(keys); n != 2 || s.Counts().Blocks != 2 {
		t.Errorf("%d blocks, %+v", n, s.Counts())
	}
}

// A write that fails is an error, and for a while nothing else is tried.
func TestWritesFail(t *testing.T) {
	dir := t.TempDir()
	s, m := open(t, dir, roomy)
	place := filepath.Join(dir, m.name)
	if err := os.WriteFile(place, nil, 0o600); err != nil { // where the folder belongs
		t.Fatal(err)
	}
	k := m.Root().Keys(prompt(1, 1))[0]
	b := &Block{Parent: m.Root(), Tokens: prompt(1, 1), Full: content(1)}
	if err := m.Write(k, b); err == nil || errors.Is(err, ErrResting) {
		t.Errorf("no folder can be made: %v", err)
	}
	if err := m.Write(k, b); !errors.Is(err, ErrResting) {
		t.Errorf("at once again: %v", err)
	}
	s.mu.Lock()
	s.broken = s.broken.Add(-restFor - time.Second)
	s.mu.Unlock()
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(k, b); err != nil || m.Stored([]Key{k}) != 1 {
		t.Errorf("later: %v", err)
	}
	if c := s.Counts(); c.Failed != 2 || c.Written != 1 {
		t.Errorf("counts: %+v", c)
	}
}

// Nobody but the owner can look into the folder: it has the tokens of prompts.
func TestPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access is by lists there, which the folder has from its parent")
	}
	dir := filepath.Join(t.TempDir(), "prefixes")
	_, m := open(t, dir, roomy)
	save(t, m, prompt(2, 1))
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 && d.Name() != "lock" {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A model's folder that cannot be made, or that somebody has removed, is made when there
// is something to write: that the folder of prefixes fails keeps no model from being served.
func TestFolderComesBack(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	root := Root("model", "i16")
	place := filepath.Join(dir, root.String()[:modelName])
	if err := os.WriteFile(place, nil, 0o600); err != nil { // in the folder's place
		t.Fatal(err)
	}
	m := s.Model(root)
	b := &Block{Parent: root, Tokens: make([]int32, 16), Full: []byte("content")}
	key := root.Next(b.Tokens)
	if err := m.Write(key, b); err == nil {
		t.Fatal("written into a file")
	}
	if err := os.Remove(place); err != nil {
		t.Fatal(err)
	}
	s.broken = time.Time{}
	for range 2 {
		if err := m.Write(key, b); err != nil {
			t.Fatal(err)
		}
		got := &Block{Full: make([]byte, len(b.Full))}
		if err := m.Read(key, got); err != nil || string(got.Full) != "content" {
			t.Fatalf("%q %v", got.Full, err)
		}
		if err := os.RemoveAll(place); err != nil {
			t.Fatal(err)
		}
		m.Read(key, got) // it is forgotten
	}
}
