package draft

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// machine is what steps take by their rows.
type machine func(rows int) float64

// Three machines: one where a panel of rows costs hardly more than a row, one where it
// costs twice as much, and one without anything to gain.
var (
	streaming = machine(func(rows int) float64 { return panels(rows, 0.15) })
	busy      = machine(func(rows int) float64 { return panels(rows, 1) })
	linear    = machine(func(rows int) float64 { return float64(rows) })
)

func panels(rows int, full float64) float64 {
	return 1 + full*float64(min(rows, Panel)-1)/(Panel-1) + float64((rows-1)/Panel)
}

// gain is how much faster answers come with guesses than without, one after the other
// on one machine.
func gain(m machine, prompts, answers [][]int32) float64 {
	var costs Costs
	with, without := 0.0, 0.0
	for i, answer := range answers {
		text, at := slices.Concat(prompts[i], answer), len(prompts[i])+1
		x, record := New(len(text)), NewRecord()
		var guess [MostRows]int32
		without += float64(len(answer)-1) * m(1)
		for at < len(text) {
			n, sure := x.Guess(text[:at], guess[:])
			ask := []Ask{{Right: record.Right(sure), Most: min(n, len(text)-at-1)}}
			costs.Share(ask, 1, 1)
			took := m(1 + ask[0].Rows)
			costs.Observe(1+ask[0].Rows, took)
			with += took
			right := 0
			for right < ask[0].Rows && guess[right] == text[at+right] {
				right++
			}
			record.Learn(sure, guess[:n], text[at:at+right+1])
			at += right + 1
		}
	}
	return without / with
}

// talk is text with the frequencies of words and little else of a language.
func talk(r *rand.Rand, n int) (list []int32) {
	z := rand.NewZipf(r, 1.2, 4, 5000)
	for len(list) < n {
		list = append(list, int32(z.Uint64()))
	}
	return list
}

// Guesses make copies several times as fast, and other texts hardly slower on any
// machine.
func TestGain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var prompts, copies, chats [][]int32
	for range 6 {
		source := talk(r, 900)
		edited := slices.Clone(source[50:850])
		for at := 40; at < len(edited); at += 90 {
			edited = slices.Replace(edited, at, at+2, 6000, 6001, 6002)
		}
		prompts = append(prompts, source)
		copies = append(copies, edited)
		chats = append(chats, talk(r, 400))
	}
	for _, test := range []struct {
		name    string
		machine machine
		answers [][]int32
		least   float64
	}{
		{"copies, streaming", streaming, copies, 4},
		{"copies, busy", busy, copies, 2.5},
		{"copies, linear", linear, copies, 0.98},
		{"chats, streaming", streaming, chats, 0.99},
		{"chats, busy", busy, chats, 0.98},
		{"chats, linear", linear, chats, 0.98},
	} {
		got := gain(test.machine, prompts, test.answers)
		t.Logf("%s: %.3f", test.name, got)
		if got < test.least {
			t.Errorf("%s: %.3f times as fast, want %v", test.name, got, test.least)
		}
	}
}
