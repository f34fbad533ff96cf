package prefixstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/penstock-llm/penstock/internal/batch"
)

// Key names the content of a block: SHA-256 of what came before it and of its tokens.
type Key [sha256.Size]byte

// Root is the key that stands before the first block of every prompt of a model. The
// parts are all that decides what its keys and values are: the file's digest, the type
// of the cache, the kernels.
func Root(parts ...string) Key {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return Key(h.Sum(nil))
}

// Next is the key of the block that follows, which has these tokens: a whole block of
// them. It allocates nothing.
func (k Key) Next(tokens []int32) Key {
	var text [sha256.Size + 4*batch.BlockTokens]byte
	copy(text[:], k[:])
	for i, t := range tokens[:batch.BlockTokens] {
		binary.LittleEndian.PutUint32(text[sha256.Size+4*i:], uint32(t))
	}
	return sha256.Sum256(text[:])
}

// Keys are the keys of a prompt's full blocks, in their order.
func (k Key) Keys(tokens []int32) []Key {
	keys := make([]Key, 0, len(tokens)/batch.BlockTokens)
	for len(tokens) >= batch.BlockTokens {
		k = k.Next(tokens)
		keys = append(keys, k)
		tokens = tokens[batch.BlockTokens:]
	}
	return keys
}

func (k Key) String() string { return hex.EncodeToString(k[:]) }
