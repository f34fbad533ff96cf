package results

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// Floors is the content of bench/floors.json: for each model file, the ratios to the peers that each kind of work must reach, and the
// shares of core's speed that `bench layers` must show.
type Floors struct {
	Works []struct {
		Files []string           `json:"files"`
		Works map[string]float64 `json:"works"`
	} `json:"floors"`
	Tiers  map[string]map[string]float64 `json:"tiers"` // on a tier named here its floors are those of all models that have some
	Layers []struct {
		Files  []string           `json:"files"`
		Floors map[string]float64 `json:"floors"`
	} `json:"layers"`
}

// ReadFloors reads the file; without one there are no floors.
func ReadFloors(path string) (Floors, error) {
	var f Floors
	if path == "" {
		return f, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("floors: %w", err)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("floors: %s: %w", path, err)
	}
	return f, nil
}

// ModelWorks returns the floors of a model file's kinds of work on a tier of kernels; nil if it has none.
func (f *Floors) ModelWorks(model, tier string) map[string]float64 {
	for _, e := range f.Works {
		if !slices.Contains(e.Files, model) {
			continue
		}
		if works, ok := f.Tiers[tier]; ok {
			return works
		}
		return e.Works
	}
	return nil
}

// ReadLayerFloors reads the floors of a model's layers. It fails if the file has none for that model.
func ReadLayerFloors(path, model string) (map[string]float64, error) {
	f, err := ReadFloors(path)
	if err != nil || path == "" {
		return nil, err
	}
	for _, e := range f.Layers {
		if slices.Contains(e.Files, model) {
			return e.Floors, nil
		}
	}
	return nil, fmt.Errorf("floors: %s has none for the layers of %s", path, model)
}

// FloorVerdict says whether a floor was reached, and whether the interval leaves that open.
func FloorVerdict(e stats.Estimate, floor float64) string {
	verdict := "reached"
	if e.Value < floor {
		verdict = "NOT REACHED"
	}
	if e.Claims() && e.CI95[0] < floor && floor <= e.CI95[1] {
		verdict += ", within the noise"
	}
	return verdict
}
