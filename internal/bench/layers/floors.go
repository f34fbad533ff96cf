package layers

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-llm/penstock/internal/bench/stats"
)

// LayerFloor is what must be reached: a share of the speed of the executor (core) or of core (all beyond it), or the occupancy
// of the batch while requests wait.
type LayerFloor struct {
	Name    string      `json:"name"`
	Of      string      `json:"of"`
	Floor   float64     `json:"floor"`
	Value   float64     `json:"value"`
	CI95    *[2]float64 `json:"ci95,omitempty"`
	Reached bool        `json:"reached"`
}

// occupancyFloor is the name under which the file has the floor of the occupancy.
const occupancyFloor = "occupancy"

// hold compares what was measured with the floors.
func (r *Result) hold(floors map[string]float64) {
	for _, x := range r.all() {
		if floor, ok := floors[x.Name]; ok {
			if e, of := x.share(); e != nil {
				r.Floors = append(r.Floors, LayerFloor{Name: x.Name, Of: of, Floor: floor, Value: e.Value, CI95: &e.CI95, Reached: e.Value >= floor})
			}
		}
		if floor, ok := floors[occupancyFloor]; ok && x.Name == "crowded" {
			r.Floors = append(r.Floors, LayerFloor{Name: "batch while requests wait", Of: "-", Floor: floor, Value: x.BusyOccupancy, Reached: x.BusyOccupancy >= floor})
		}
	}
}

// share is the part of core's speed, or of core the executor's, that x has.
func (x *LayerResult) share() (*stats.Estimate, string) {
	if x.OfCore != nil {
		return x.OfCore, "core"
	}
	if x.Name != "core" || x.LossCI95 == [2]float64{} {
		return nil, ""
	}
	return &stats.Estimate{Value: 1 - x.Loss, CI95: [2]float64{1 - x.LossCI95[1], 1 - x.LossCI95[0]}}, "executor"
}

// FloorRows is the table of the floors.
func (r *Result) FloorRows() [][]string {
	rows := [][]string{{"floor", "of", "measured", "95 % CI", "at least", ""}}
	for _, f := range r.Floors {
		row := []string{f.Name, f.Of, fmt.Sprintf("%.3f", f.Value), "-", fmt.Sprintf("%.2f", f.Floor), "reached"}
		if !f.Reached {
			row[5] = "NOT REACHED"
		}
		if f.CI95 != nil && f.CI95[0] < f.CI95[1] {
			row[3] = fmt.Sprintf("[%.3f, %.3f]", f.CI95[0], f.CI95[1])
			if f.CI95[0] < f.Floor && f.Floor <= f.CI95[1] {
				row[5] += ", within the noise"
			}
		}
		rows = append(rows, row)
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
