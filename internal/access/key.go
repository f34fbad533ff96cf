package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

// Scope is a kind of route that a key opens.
type Scope string

// The scopes.
const (
	Infer   Scope = "infer"   // asking models, and about them
	Admin   Scope = "admin"   // changing what the server has: pull, delete, flush
	Metrics Scope = "metrics" // /metrics
)

// Scopes lists them all.
func Scopes() []Scope { return []Scope{Infer, Admin, Metrics} }

// Key is a key that the server accepts.
type Key struct {
	Name   string
	Digest [sha256.Size]byte
	Plain  bool // the file holds the key itself, not its digest
	Scopes []Scope
	Models []string // that it may ask; none: all
	Limits Limits
}

// Limits bound what the holder of a key may use. Zero fields bound nothing.
type Limits struct {
	RequestsPerMinute int   `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int   `json:"tokens_per_minute,omitempty"`
	Concurrent        int   `json:"concurrent,omitempty"`       // requests at once
	TokensPerDay      int   `json:"tokens_per_day,omitempty"`   // of the UTC day
	TokensPerMonth    int   `json:"tokens_per_month,omitempty"` // of the UTC month
	Priority          Class `json:"-"`                          // of its requests, which may ask for a lower one
}

// Class is a priority: requests of a higher one are served first.
type Class int

// The classes.
const (
	Low    Class = -1
	Normal Class = 0
	High   Class = 1
)

func (c Class) String() string { return [...]string{"low", "normal", "high"}[c+1] }

// May reports whether the key opens routes of a scope.
func (k *Key) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// keyName matches the names of keys: they stand in log lines, labels of metrics
// and the lines of the file.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// prefix tells where a key that somebody finds in a log or a repository comes from.
const prefix = "psk-"

// generate makes a new key of 256 random bits.
func generate() string {
	var b [32]byte
	rand.Read(b[:]) // it never fails: see crypto/rand
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Digest is the form in which a key is stored.
func Digest(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// plainKey is the key of a line that is nothing else. Its name comes from its
// digest, so that it stays the same when the line moves.
func plainKey(secret string) Key {
	d := Digest(secret)
	return Key{Name: "key-" + hex.EncodeToString(d[:4]), Digest: d, Plain: true, Scopes: Scopes()}
}

// Plain makes keys without names or limits, for all scopes.
func Plain(secrets ...string) []Key {
	keys := make([]Key, len(secrets))
	for i, s := range secrets {
		keys[i] = plainKey(s)
	}
	return keys
}

// isSecret reports whether a client can send text as a key: in a header nothing
// else is allowed.
func isSecret(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
