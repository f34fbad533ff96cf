package prefixstore

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// digest is what the store remembers of a model's files.
type digest struct {
	Files  []stamp `json:"files"`
	Digest string  `json:"digest"`
}

// stamp is what changes when a file does.
type stamp struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`     // bytes
	Modified int64  `json:"modified"` // ns
}

// Digest is the digest of a model in one file or several, which compute makes: it is
// remembered for as long as all of them have the same size and time of change, since
// large files take seconds. Where one of the paths is a folder, which may change without
// a trace, it is computed each time.
func (s *Store) Digest(files []string, compute func() (string, error)) (string, error) {
	stamps := stampsOf(files)
	if stamps == nil {
		return compute()
	}
	file := filepath.Join(s.dir, fmt.Sprintf("digest-%x.json", sha256.Sum256([]byte(stamps[0].Path))))
	if text, err := os.ReadFile(file); err == nil {
		var known digest
		if json.Unmarshal(text, &known) == nil && known.Digest != "" && slices.Equal(known.Files, stamps) {
			return known.Digest, nil
		}
	}
	sum, err := compute()
	if err != nil {
		return "", err
	}
	if text, err := json.Marshal(digest{stamps, sum}); err == nil {
		_ = os.WriteFile(file, text, 0o600) // it is computed again otherwise
	}
	return sum, nil
}

// stampsOf are the stamps of files; nil if one of them is missing or no regular file.
func stampsOf(files []string) (stamps []stamp) {
	for _, f := range files {
		path, err := filepath.Abs(f)
		if err != nil {
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		stamps = append(stamps, stamp{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano()})
	}
	return stamps
}
