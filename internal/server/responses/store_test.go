package responses

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// What is kept is bounded by number, by bytes and by time, the oldest goes first, and
// nobody reads or removes what is another's.
func TestStoreIsBounded(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := NewStore(3, 100, time.Hour)
	s.now = func() time.Time { return now }
	put := func(id string, bytes int) {
		s.put(&kept{id: id, owner: "a", body: json.RawMessage(make([]byte, bytes))})
	}
	has := func() (all string) {
		for _, id := range []string{"1", "2", "3", "4", "5", "6", "7"} {
			if s.get(id, "a") != nil {
				all += id
			}
		}
		return all
	}
	check := func(what, want string) {
		t.Helper()
		if got := has(); got != want || s.order.Len() != len(want) || len(s.byID) != len(want) {
			t.Errorf("%s: %q is kept, want %q; %d in order, %d by id", what, got, want, s.order.Len(), len(s.byID))
		}
	}
	for i := range 4 {
		put(fmt.Sprint(i+1), 10)
		now = now.Add(10 * time.Minute)
	}
	check("three are kept", "234")
	put("5", 85)
	check("a hundred bytes are kept", "45")
	put("6", 101)
	check("more than fit at all", "")
	put("7", 10)
	now = now.Add(time.Hour - time.Second)
	check("for an hour", "7")
	if s.get("7", "b") != nil || s.delete("7", "b") {
		t.Error("another one reads or removes it")
	}
	now = now.Add(time.Second)
	check("and no longer", "")
	if s.size != 0 {
		t.Errorf("%d bytes are left", s.size)
	}
}
