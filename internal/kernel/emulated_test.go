package kernel

import (
	"fmt"
	"os"

	"github.com/penstock-llm/penstock/internal/cpu"
)

// PENSTOCK_EMULATED names a tier that the processor lacks and an emulator provides,
// see `make test-avxvnni`.
func init() {
	name, ok := os.LookupEnv("PENSTOCK_EMULATED")
	if !ok {
		return
	}
	tier, err := cpu.ParseTier(name)
	if err != nil {
		panic(fmt.Sprintf("PENSTOCK_EMULATED: %v", err))
	}
	available = []cpu.Tier{cpu.Generic, tier.Base(), tier}
}
