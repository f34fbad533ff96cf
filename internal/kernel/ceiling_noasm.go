//go:build (!amd64 && !arm64) || purego

package kernel

func (s Set) dotCeiling(int) int { return 0 }

// read is never called: the generic tier has no patterns of its own.
func (s Set) read([]byte, ReadPattern) {}
