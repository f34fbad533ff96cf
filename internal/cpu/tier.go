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

// Tier names a set of kernels. A higher tier includes what the lower ones need.
type Tier uint8

const (
	Generic    Tier = iota // plain Go, the specification of the others
	AVX2                   // AVX2, FMA, F16C and POPCNT
	AVX512VNNI             // AVX-512 F, BW, VL, DQ and VNNI
)

var tierNames = [...]string{Generic: "generic", AVX2: "avx2", AVX512VNNI: "avx512vnni"}

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
	return Generic, fmt.Errorf("cpu: unknown tier %q: want %s", s, strings.Join(tierNames[:], ", "))
}

// needs are the features that a tier asks for beyond those of the tier below it.
var needs = [...][]cpuid.FeatureID{
	AVX2:       {cpuid.AVX2, cpuid.FMA3, cpuid.F16C, cpuid.POPCNT},
	AVX512VNNI: {cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512DQ, cpuid.AVX512VNNI},
}

// Detect returns the best tier that the processor has and the operating system
// has enabled.
func Detect() Tier { return detect(cpuid.CPU.Supports) }

// detect goes up the tiers as long as the processor has all that they need.
func detect(supports func(...cpuid.FeatureID) bool) Tier {
	best := Generic
	for int(best)+1 < len(needs) && supports(needs[best+1]...) {
		best++
	}
	return best
}

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
