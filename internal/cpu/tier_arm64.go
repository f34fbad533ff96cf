package cpu

import "golang.org/x/sys/cpu"

// has asks what the system says of the processor: HWCAP on Linux, sysctl on macOS.
// Some of the kernels convert halves and round to integers; every arm64 processor can.
func has(t Tier) bool {
	switch t {
	case DotProd:
		return cpu.ARM64.HasASIMD && cpu.ARM64.HasASIMDDP
	case I8MM:
		return has(DotProd) && cpu.ARM64.HasI8MM
	}
	return false
}
