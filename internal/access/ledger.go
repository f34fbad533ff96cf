package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Ledger keeps what keys have used in a file, day by day. The file is open only
// while it is read or written, so that `penstock usage` can read it beside a running
// server, and several servers can share one: what each adds is added up.
//
// No trouble with the file stops anybody: what cannot be written is counted in
// memory and written when that is possible again.
type Ledger struct {
	path   string
	meters *Meters

	saving sync.Mutex // one reading or writing at a time
	open   func(path string) (*bolt.DB, error)

	mu      sync.Mutex // never held while the file is waited for
	failure error      // of the last reading or writing
	errors  uint64     // failures so far
}

// days is the bucket; its keys are DAY NAME, its values four big-endian numbers.
var days = []byte("days")

// NewLedger makes a ledger in a file for what meters count.
func NewLedger(path string, meters *Meters) *Ledger {
	return &Ledger{path: path, meters: meters, open: func(path string) (*bolt.DB, error) {
		return bolt.Open(path, 0o600, &bolt.Options{Timeout: 2 * time.Second})
	}}
}

// Save writes what was used since the last time, and reads what others have written
// for this month. changed tells that it failed for the first time, or is well again.
func (l *Ledger) Save(now time.Time) (changed bool, err error) {
	l.saving.Lock()
	defer l.saving.Unlock()
	if damaged := l.last(); errors.Is(damaged, errDamaged) {
		l.note(damaged)
		return false, damaged // what the library left of its last attempt is not known
	}
	fresh := l.meters.pending()
	stored, err := l.exchange(fresh, now.UTC().Format("2006-01"))
	changed = l.note(err)
	if err != nil {
		return changed, err
	}
	l.meters.saved(fresh, stored)
	return changed, nil
}

// exchange adds uses to the file, and returns what it then has of a month: name -> day
// -> use.
func (l *Ledger) exchange(fresh map[string]map[string]Use, month string) (stored map[string]map[string]Use, err error) {
	err = guarded(func() (err error) {
		db, err := l.open(l.path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		transaction := db.Update
		if len(fresh) == 0 {
			transaction = db.View // which writes nothing
		}
		return transaction(func(tx *bolt.Tx) error {
			if err := add(tx, fresh); err != nil {
				return err
			}
			stored = map[string]map[string]Use{}
			return scan(tx, month, func(day, name string, u Use) {
				if stored[name] == nil {
					stored[name] = map[string]Use{}
				}
				stored[name][day] = u
			})
		})
	})
	return stored, err
}

// last is the failure of the last reading or writing.
func (l *Ledger) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// note remembers how a reading or writing went. changed tells that it failed for the
// first time, or is well again.
func (l *Ledger) note(err error) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = (err == nil) != (l.failure == nil)
	l.failure = err
	if err != nil {
		l.errors++
	}
	return changed
}

// Failures is how often the file could not be written, and whether that is so now. It
// does not wait for a writing that is under way.
func (l *Ledger) Failures() (errors uint64, failing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errors, l.failure != nil
}

var errDamaged = errors.New("the file is damaged: move it away, and restart the server for a new one")

// guarded turns what a damaged file does to the library, panics and faults of its
// memory map, into an error.
func guarded(work func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errDamaged, v)
		}
	}()
	return work()
}

// add adds uses to what the file has.
func add(tx *bolt.Tx, fresh map[string]map[string]Use) error {
	if len(fresh) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(days)
	if err != nil {
		return err
	}
	for name, byDay := range fresh {
		for day, u := range byDay {
			key := []byte(day + " " + name)
			sum := decodeUse(b.Get(key))
			sum.Add(u)
			if err := b.Put(key, encodeUse(sum)); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan visits the days that begin with a text.
func scan(tx *bolt.Tx, from string, visit func(day, name string, u Use)) error {
	b := tx.Bucket(days)
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for k, v := c.Seek([]byte(from)); k != nil && strings.HasPrefix(string(k), from); k, v = c.Next() {
		if day, name, ok := strings.Cut(string(k), " "); ok {
			visit(day, name, decodeUse(v))
		}
	}
	return nil
}

func encodeUse(u Use) []byte {
	var b []byte
	for _, n := range []uint64{u.Requests, u.Prompt, u.Cached, u.Completion} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func decodeUse(b []byte) (u Use) {
	if len(b) < 32 {
		return u
	}
	at := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	return Use{at(0), at(1), at(2), at(3)}
}

// pending is what no ledger has yet: name -> day -> use.
func (m *Meters) pending() map[string]map[string]Use {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]map[string]Use{}
	for name, k := range m.keys {
		if len(k.unsaved) == 0 {
			continue
		}
		all[name] = map[string]Use{}
		for day, u := range k.unsaved {
			all[name][day] = u
		}
	}
	return all
}

// saved takes off what has been written, and takes over what the file has.
func (m *Meters) saved(written, stored map[string]map[string]Use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range stored {
		if m.keys[name] == nil { // it will be filled in by the first request
			m.keys[name] = &meter{days: map[string]Use{}, unsaved: map[string]Use{}}
		}
	}
	for name, k := range m.keys {
		for day, u := range written[name] {
			rest := k.unsaved[day].minus(u)
			if rest == (Use{}) {
				delete(k.unsaved, day)
			} else {
				k.unsaved[day] = rest
			}
		}
		clear(k.days)
		for day, u := range stored[name] {
			k.days[day] = u
		}
		for day, u := range k.unsaved { // used while the file was written
			sum := k.days[day]
			sum.Add(u)
			k.days[day] = sum
		}
	}
}

func (u Use) minus(o Use) Use {
	return Use{u.Requests - o.Requests, u.Prompt - o.Prompt, u.Cached - o.Cached, u.Completion - o.Completion}
}

// DayUse is what a key has used on a day.
type DayUse struct {
	Day string `json:"day"` // in UTC, as 2006-01-02
	Key string `json:"key"`
	Use
}

// ReadLedger returns what a file has of the days that begin with a text, such as a
// month, ordered by day and key.
func ReadLedger(path, from string) (all []DayUse, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, withoutPath(err) // the library would make a file
	}
	err = guarded(func() (err error) {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 5 * time.Second, ReadOnly: true})
		if err != nil {
			return withoutPath(err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return db.View(func(tx *bolt.Tx) error {
			return scan(tx, from, func(day, name string, u Use) { all = append(all, DayUse{day, name, u}) })
		})
	})
	sort.Slice(all, func(i, j int) bool {
		return all[i].Day < all[j].Day || all[i].Day == all[j].Day && all[i].Key < all[j].Key
	})
	return all, err
}
