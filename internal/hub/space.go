package hub

import (
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// spare is what a pull leaves free on the disk.
const spare = 64 << 20

// checkSpace refuses to fetch what the disk has no room for.
func (s *Store) checkSpace(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	free, ok := s.freeSpace()
	if !ok || free >= uint64(bytes)+spare {
		return nil
	}
	return explainedError{fmt.Sprintf("%s are to be fetched and %s to stay free, and the disk of %s has %s: remove models (penstock rm), "+
		"remove what is left over (penstock prune), or keep models elsewhere with PENSTOCK_MODELS", sizeText(uint64(bytes)), sizeText(spare), s.Root, sizeText(free)), syscall.ENOSPC}
}

// sizeText is a size as people write it.
func sizeText(bytes uint64) string {
	if bytes < 1e9 {
		return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
}

// freeSpace is the room on the store's disk; the store's folder may have yet to be made.
func (s *Store) freeSpace() (bytes uint64, ok bool) {
	if s.free != nil {
		return s.free()
	}
	for dir := filepath.Clean(s.Root); ; dir = filepath.Dir(dir) {
		if bytes, ok = cpu.DiskFree(dir); ok || dir == filepath.Dir(dir) {
			return bytes, ok
		}
	}
}
