package nn

import "github.com/penstock-llm/penstock/internal/batch"

// outputs is what is wanted of a step: which rows go through the end of the last
// layer, and for which of them logits are computed.
type outputs struct {
	rows   []int32 // of the batch, ascending: those of Logits and those of Hidden
	logit  []int32 // [rows] index in Logits; -1: no logits of this row
	logits []int32 // [Logits] index in rows
	hidden []int32 // [Hidden] index in rows
}

func newOutputs(rows int) outputs {
	list := func() []int32 { return make([]int32, 0, rows) }
	return outputs{rows: list(), logit: list(), logits: list(), hidden: list()}
}

// reset merges the two lists of a batch.
func (o *outputs) reset(b *batch.Batch) {
	o.rows, o.logit, o.logits, o.hidden = o.rows[:0], o.logit[:0], o.logits[:0], o.hidden[:0]
	l, h := 0, 0
	for l < len(b.Logits) || h < len(b.Hidden) {
		row, logit := int32(0), int32(-1)
		if h == len(b.Hidden) || l < len(b.Logits) && b.Logits[l] <= b.Hidden[h] {
			row, logit = b.Logits[l], int32(l)
			o.logits = append(o.logits, int32(len(o.rows)))
			l++
		} else {
			row = b.Hidden[h]
		}
		if h < len(b.Hidden) && b.Hidden[h] == row {
			o.hidden = append(o.hidden, int32(len(o.rows)))
			h++
		}
		o.rows = append(o.rows, row)
		o.logit = append(o.logit, logit)
	}
}
