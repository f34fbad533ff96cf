// Package cpu answers what the machine can do and how much of it the process
// may use: the kernel tier, the number of worker threads that affinity and
// cgroup allow, the memory limit, the cache sizes.
//
// It is not a scheduler and changes nothing: it only reads CPUID, the affinity
// mask and /sys/fs/cgroup. Package kernel asks it for the tier; the commands
// ask it for threads and memory at start.
package cpu

import (
	"fmt"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Tier names a set of kernels. Of two tiers of one architecture the greater is the
// faster. A processor need not have all that are below its best.
type Tier uint8

const (
	Generic    Tier = iota // plain Go, the specification of the others
	AVX2                   // AVX2, FMA, F16C and POPCNT
	AVXVNNI                // AVX2, and VPDPBUSD without AVX-512
	AVX512VNNI             // AVX-512 F, BW, VL, DQ and VNNI
	DotProd                // arm64 with SDOT
	I8MM                   // arm64 with SDOT, and SMMLA
)

var tierNames = [...]string{Generic: "generic", AVX2: "avx2", AVXVNNI: "avxvnni", AVX512VNNI: "avx512vnni", DotProd: "dotprod", I8MM: "i8mm"}

func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("Tier(%d)", uint8(t))
}

// ParseTier is the inverse of String; it ignores case.
func ParseTier(s string) (Tier, error) {
	for t, name := range tierNames {
		if strings.EqualFold(s, name) {
			return Tier(t), nil
		}
	}
	return Generic, fmt.Errorf("unknown tier %q: want %s", s, strings.Join(tierNames[:], ", "))
}

// Base is the tier that t takes all its kernels from but the products of matrices.
func (t Tier) Base() Tier {
	switch t {
	case AVXVNNI:
		return AVX2
	case I8MM:
		return DotProd
	}
	return t
}

// Includes reports whether every processor that has t has o too.
func (t Tier) Includes(o Tier) bool {
	return o == Generic || o == t || o == t.Base() || t == AVX512VNNI && o == AVX2
}

// Tiers are those that the processor has and the operating system has enabled, from
// the slowest to the fastest. Generic is always the first.
func Tiers() []Tier {
	all := []Tier{Generic}
	for t := AVX2; int(t) < len(tierNames); t++ {
		if has(t) {
			all = append(all, t)
		}
	}
	return all
}

// Detect returns the best tier of this machine.
func Detect() Tier {
	all := Tiers()
	return all[len(all)-1]
}

// Intel reports whether Intel made the processor. What the kernels gain by prefetching depends on it.
func Intel() bool { return cpuid.CPU.VendorID == cpuid.Intel }

// Name is the processor's brand string, for logs and reports.
func Name() string {
	if n := strings.TrimSpace(cpuid.CPU.BrandName); n != "" {
		return n
	}
	return "unknown CPU"
}

// Caches are sizes in bytes as the processor reports them, zero if unknown.
type Caches struct{ L1D, L2, L3 int }

// CacheSizes returns the data cache sizes of one core (L3: of its cluster).
func CacheSizes() Caches {
	c := cpuid.CPU.Cache
	return Caches{L1D: max(c.L1D, 0), L2: max(c.L2, 0), L3: max(c.L3, 0)}
}
