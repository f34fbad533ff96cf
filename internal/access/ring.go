package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"
)

// Ring is the keys that a running server accepts. They can be replaced while it
// runs.
type Ring struct {
	keys atomic.Pointer[[]Key]
}

// NewRing makes a ring of keys.
func NewRing(keys []Key) *Ring {
	r := &Ring{}
	r.Replace(keys)
	return r
}

// Replace puts other keys in place of all that there were. Without any, the ring
// accepts nobody.
func (r *Ring) Replace(keys []Key) { r.keys.Store(&keys) }

// Keys are those that the ring accepts; not to be changed.
func (r *Ring) Keys() []Key { return *r.keys.Load() }

// Find returns the key that a client has sent, or nil. It compares digests, each in
// constant time and all of them, whichever fits: how long that takes tells nothing
// about the keys. A digest costs about 10 ns.
func (r *Ring) Find(secret string) *Key {
	if secret == "" {
		return nil
	}
	digest := sha256.Sum256([]byte(secret))
	var found *Key
	keys := *r.keys.Load()
	for i := range keys {
		if subtle.ConstantTimeCompare(keys[i].Digest[:], digest[:]) == 1 {
			found = &keys[i]
		}
	}
	return found
}
