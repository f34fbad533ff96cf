//go:build !amd64 && !arm64

package cpu

func has(Tier) bool { return false }
