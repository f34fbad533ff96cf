package engine

import (
	"reflect"
	"testing"
	"time"

	"github.com/penstock-llm/penstock/internal/metrics"
)

// The numbers of two engines together miss none, and those of one that has ended
// are its totals.
func TestStatsOfSeveralEngines(t *testing.T) {
	var one Stats
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case int, time.Duration:
			f.SetInt(3)
		case uint64:
			f.SetUint(3)
		case float64:
			f.SetFloat(3)
		case bool:
			f.SetBool(true)
		case []uint64:
			f.Set(reflect.ValueOf([]uint64{3, 3}))
		default:
			t.Fatalf("%s: a kind of number that Add does not know", v.Type().Field(i).Name)
		}
	}
	var two Stats
	two.Add(&one)
	if !reflect.DeepEqual(one, two) {
		t.Errorf("added to nothing: %+v", two)
	}
	two.Add(&one)
	if two.Steps != 6 || two.KVUsage != 3 || two.Finished[1] != 6 || one.Finished[1] != 3 {
		t.Errorf("added twice: %+v", two)
	}
	left := one.Totals()
	if left.Broken || left.KVUsage != 0 || left.Stuck != 0 || left.Steps != 3 || !one.Broken {
		t.Errorf("of an engine that has ended: %+v", left)
	}
	for i := range v.NumField() {
		if n, ok := reflect.ValueOf(left).Elem().Field(i).Interface().(int); ok && n != 0 {
			t.Errorf("an engine that has ended has %d of %s", n, v.Type().Field(i).Name)
		}
	}
}

func TestHistogramsOfSeveralEngines(t *testing.T) {
	var c counters
	c.init(1)
	v := reflect.ValueOf(c.hist)
	for i := range v.NumField() {
		v.Field(i).Interface().(*metrics.Histogram).Observe(0.02)
	}
	v = reflect.ValueOf(c.hist.Plus(Histograms{}).Plus(c.hist))
	for i := range v.NumField() {
		if s := v.Field(i).Interface().(*metrics.Histogram).Snapshot(); s.Count != 2 || s.Sum != 0.04 {
			t.Errorf("%s: %+v", v.Type().Field(i).Name, s)
		}
	}
}
