package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/results"
	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// LayerFloor is what must be reached: a share of the speed of the executor (core) or of core (all beyond it), or the occupancy
// of the batch while requests wait.
type LayerFloor struct {
	Name    string     `json:"name"`
	Of      string     `json:"of"`
	Floor   float64    `json:"floor"`
	Value   float64    `json:"value"`
	CI95    [2]float64 `json:"ci95,omitzero"`
	Repeats int        `json:"repeats,omitempty"` // behind the interval; the occupancy has none
	Reached bool       `json:"reached"`
}

// occupancyFloor is the name under which the file has the floor of the occupancy.
const occupancyFloor = "occupancy"

// hold compares what was measured with the floors.
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

// share is the part of core's speed, or of core the executor's, that x has.
func (x *LayerResult) share(hasExecutor bool) (*stats.Estimate, string) {
	if x.OfCore != nil {
		return x.OfCore, "core"
	}
	if x.Name != "core" || !hasExecutor {
		return nil, ""
	}
	e := stats.Estimate{Value: x.Loss, CI95: x.LossCI95, N: x.Repeats}.Loss() // the loss of a loss is the ratio again
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

// missed is the error for floors that were not reached.
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
	return errors.New("bench: floors not reached: " + strings.Join(names, "; "))
}
