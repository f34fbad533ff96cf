package draft

import "testing"

// What is shared out follows the chance of the guesses and what rows cost.
func TestShare(t *testing.T) {
	cheap := Costs{seconds: [...]float64{1, 1.02, 1.06, 1.15, 2.4, 3.6, 4.8}} // one panel is nearly free
	dear := Costs{seconds: [...]float64{1, 2, 0, 8, 16, 24, 32}}
	tests := []struct {
		name         string
		costs        *Costs
		rights       []float64
		streams, own int
		least, most  int // rows together
	}{
		{"sure guess", &cheap, []float64{0.99}, 1, 1, 7, 7},
		{"likely guess", &cheap, []float64{0.7}, 1, 1, 3, 7},
		{"hopeless guess", &cheap, []float64{0.01}, 1, 1, 0, 0},
		{"no guess", &cheap, nil, 1, 1, 0, 0},
		{"rows that cost like steps", &dear, []float64{0.9}, 1, 1, 0, 0},
		{"one of seven streams", &cheap, []float64{0.9}, 7, 7, 1, 1},
		{"a full panel", &cheap, []float64{0.99, 0.99}, 8, 8, 0, 0},
		{"forced tokens", &cheap, []float64{0.9}, 1, 6, 2, 10},
		{"two streams", &cheap, []float64{0.95, 0.2}, 2, 2, 6, 6},
	}
	for _, test := range tests {
		var asks []Ask
		for _, r := range test.rights {
			asks = append(asks, Ask{Right: r, Most: 31})
		}
		test.costs.Share(asks, test.streams, test.own)
		rows := 0
		for _, a := range asks {
			rows += a.Rows
		}
		if rows < test.least || rows > test.most {
			t.Errorf("%s: %d rows, want %d to %d", test.name, rows, test.least, test.most)
		}
	}
	asks := []Ask{{Right: 0.3, Most: 8}, {Right: 0.9, Most: 2}}
	cheap.Share(asks, 2, 2)
	if asks[1].Rows != 2 || asks[0].Rows != 4 { // the panel's other rows are free
		t.Errorf("%+v", asks)
	}
}

// What is not known yet is estimated from what is; what was measured is forgotten when
// it is old; one step that was held up does not count for much.
func TestCosts(t *testing.T) {
	var c Costs
	c.Observe(1, 10)
	if got := c.Of(8); got != 10*usual[3]/usual[0] {
		t.Errorf("8 rows: %v", got)
	}
	c.Observe(8, 14)
	if got := c.Of(7); got != 14 {
		t.Errorf("7 rows: %v", got)
	}
	c.Observe(8, 1000)
	if got := c.Of(8); got > 14*1.2 {
		t.Errorf("after an outlier: %v", got)
	}
	for range stale + 1 {
		c.Observe(1, 20)
	}
	if got, want := c.Of(8), c.Of(1)*usual[3]/usual[0]; got != want {
		t.Errorf("after a long time: %v, want %v", got, want)
	}
	c.Observe(0, 1)
	c.Observe(1000, 1)
	c.Observe(4, -1)
	if c.seconds[2] != 0 || c.seconds[len(edges)-1] != 0 {
		t.Errorf("steps that say nothing count: %v", c.seconds)
	}
}

// Guesses that are wrong get rarer and come back when they would have been right.
func TestRecord(t *testing.T) {
	r := NewRecord()
	guess := []int32{1, 2, 3}
	if n := r.Learn(Short, guess, []int32{1, 2, 9}); n != 2 {
		t.Errorf("%d right", n)
	}
	for range 60 {
		r.Learn(Short, guess, []int32{5})
	}
	if p := r.Right(Short); p > 0.02 {
		t.Errorf("after 60 wrong guesses: %v", p)
	}
	if r.Right(Long) != float64(newcomers.right[Long]) {
		t.Error("another class has changed")
	}
	for range 30 {
		r.Learn(Short, guess, []int32{1})
	}
	if p := r.Right(Short); p < 0.8 {
		t.Errorf("after 30 right ones: %v", p)
	}
}
