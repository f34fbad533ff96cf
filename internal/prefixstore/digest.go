package prefixstore

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// digest is what the store remembers of a model's file.
type digest struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // ns
	Digest   string `json:"digest"`
}

// Digest is the digest of a file, which compute makes: it is remembered for as long as
// the file has the same size and time of change, since a large file takes seconds. What
// is no single file is computed each time.
func (s *Store) Digest(path string, compute func() string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return compute()
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return compute()
	}
	d := digest{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano()}
	file := filepath.Join(s.dir, fmt.Sprintf("digest-%x.json", sha256.Sum256([]byte(path))))
	if text, err := os.ReadFile(file); err == nil {
		var known digest
		if json.Unmarshal(text, &known) == nil && known.Digest != "" {
			if d.Digest = known.Digest; d == known {
				return d.Digest
			}
		}
	}
	d.Digest = compute()
	if text, err := json.Marshal(d); err == nil {
		_ = os.WriteFile(file, text, 0o600) // it is computed again otherwise
	}
	return d.Digest
}
