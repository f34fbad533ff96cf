package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoading: a model that is loaded at once says nothing of it, one that takes long
// has a line now and then.
func TestLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		report, end := loading(&out, "m")
		for i := range 10 {
			report(int64(i+1)*1e6, 10e6)
		}
		end()
		if out.Len() > 0 {
			t.Errorf("it says %q", out.String())
		}
		report, end = loading(&out, "m")
		for i := range 10 {
			time.Sleep(time.Second)
			report(int64(i+1)*1e6, 10e6)
		}
		end()
		want := "loading m: 3 MB of 10 MB\nloading m: 5 MB of 10 MB\nloading m: 7 MB of 10 MB\nloading m: 9 MB of 10 MB\nloading m: 10 MB of 10 MB\n"
		if out.String() != want {
			t.Errorf("it says %q, want %q", out.String(), want)
		}
	})
}
