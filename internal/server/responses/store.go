package responses

import (
	"container/list"
	"encoding/json"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
)

// Store keeps finished responses in memory, bounded by number, bytes and time.
// The oldest go first. It is safe for concurrent use.
type Store struct {
	most  int
	bytes int
	age   time.Duration
	now   func() time.Time

	mu    sync.Mutex
	order *list.List // of *kept, the oldest first
	byID  map[string]*list.Element
	size  int
}

// kept is one response, with the conversation that it ended.
type kept struct {
	id       string
	owner    string // the client's name; nobody else sees it
	at       time.Time
	body     json.RawMessage
	messages []chat.Message // without the instructions
	size     int
}

// NewStore returns an empty store for at most so many responses and bytes of
// them, each for at most age.
func NewStore(most, bytes int, age time.Duration) *Store {
	return &Store{most: most, bytes: bytes, age: age, now: time.Now, order: list.New(), byID: map[string]*list.Element{}}
}

// put keeps a response. One that is larger than the store is not kept.
func (s *Store) put(k *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.at = s.now()
	k.size = len(k.body)
	for i := range k.messages {
		k.size += k.messages[i].Size()
	}
	s.byID[k.id] = s.order.PushBack(k)
	s.size += k.size
	s.expire()
}

// expire drops what is too old or too much.
func (s *Store) expire() {
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		k := e.Value.(*kept)
		if s.order.Len() <= s.most && s.size <= s.bytes && s.now().Sub(k.at) < s.age {
			return
		}
		s.drop(e)
	}
}

func (s *Store) drop(e *list.Element) {
	k := s.order.Remove(e).(*kept)
	delete(s.byID, k.id)
	s.size -= k.size
}

// get returns a response of this owner, or nil.
func (s *Store) get(id, owner string) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if e := s.byID[id]; e != nil && e.Value.(*kept).owner == owner {
		return e.Value.(*kept)
	}
	return nil
}

// delete forgets a response of this owner, and reports whether there was one.
func (s *Store) delete(id, owner string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil || e.Value.(*kept).owner != owner {
		return false
	}
	s.drop(e)
	return true
}
