package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// LayerFloor is a value that must be reached, beside what was measured. For core it is a share of the executor's speed, for layers
// and axes beyond core a share of core's; for the occupancy it is the number of sequences in a step while requests wait.
type LayerFloor struct {
	Name    string     `json:"name"`
	Of      string     `json:"of"`
	Floor   float64    `json:"floor"`
	Value   float64    `json:"value"`
	CI95    [2]float64 `json:"ci95,omitzero"`
	Repeats int        `json:"repeats,omitempty"` // behind the interval; the occupancy has none
	Reached bool       `json:"reached"`
}

// occupancyFloor is the key of the occupancy's floor in the file.
const occupancyFloor = "occupancy"

// hold sets the measured values beside the floors.
func (r *Result) hold(floors map[string]float64) {
	hasExecutor := slices.ContainsFunc(r.Layers, func(x LayerResult) bool { return x.Name == "executor" })
	for _, x := range r.all() {
		if floor, ok := floors[x.Name]; ok {
			if e, of := x.share(hasExecutor); e != nil {
				r.Floors = append(r.Floors, LayerFloor{Name: x.Name, Of: of, Floor: floor, Value: e.Value, CI95: e.CI95, Repeats: e.N, Reached: e.Value >= floor})
			}
		}
		if floor, ok := floors[occupancyFloor]; ok && x.Name == "crowded" {
			r.Floors = append(r.Floors, LayerFloor{Name: "batch while requests wait", Of: "-", Floor: floor, Value: x.BusyOccupancy, Reached: x.BusyOccupancy >= floor})
		}
	}
}

// share is x's speed as a share of core's; for core itself, of the executor's. It is nil where that was not measured.
func (x *LayerResult) share(hasExecutor bool) (*stats.Estimate, string) {
	if x.OfCore != nil {
		return x.OfCore, "core"
	}
	if x.Name != "core" || !hasExecutor {
		return nil, ""
	}
	e := stats.Estimate{Value: x.Loss, CI95: x.LossCI95, N: x.Repeats}.Loss() // 1 - loss is the ratio of the speeds
	return &e, "executor"
}

// FloorRows is the table of the floors.
func (r *Result) FloorRows() [][]string {
	rows := [][]string{{"floor", "of", "measured", "95 % CI", "at least", ""}}
	for _, f := range r.Floors {
		e := stats.Estimate{Value: f.Value, CI95: f.CI95, N: f.Repeats}
		rows = append(rows, []string{f.Name, f.Of, fmt.Sprintf("%.3f", f.Value), results.Interval(e, "%.3f"), fmt.Sprintf("%.2f", f.Floor), results.FloorVerdict(e, f.Floor)})
	}
	return rows
}

// missed returns an error that names the floors that were not reached, or nil.
func (r *Result) missed() error {
	var names []string
	for _, f := range r.Floors {
		if !f.Reached {
			names = append(names, f.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return errors.New("floors not reached: " + strings.Join(names, "; "))
}
