package kernel

import (
	"fmt"
	"unsafe"
)

// Gather makes column i of dst a copy of column cols[i] of src, bit for bit. Both
// have columns of the same length; where dst has floats, so has src.
func Gather(dst, src *Panels, cols []int32) {
	if dst.K != src.K || dst.Cols != len(cols) || dst.X != nil && src.X == nil {
		panic(fmt.Sprintf("kernel: Gather: %d columns of %d into %d of %d", len(cols), src.K, dst.Cols, dst.K))
	}
	for _, c := range cols {
		if c < 0 || int(c) >= src.Cols {
			panic(fmt.Sprintf("kernel: Gather: column %d of %d", c, src.Cols))
		}
	}
	full := int32(src.Cols / PanelCols * PanelCols) // columns before it are in panels of 8
	for first := 0; first < len(cols); first += PanelCols {
		to := dst.panel(first / PanelCols)
		part := cols[first:][:to.width]
		if to.width == PanelCols && max(part[0], part[1], part[2], part[3], part[4], part[5], part[6], part[7]) < full {
			src.gatherPanel(dst.streams(to).data, (*[PanelCols]int32)(part))
		} else {
			for lane, c := range part {
				q := src.panel(int(c) / PanelCols)
				copyWords(wordColumn{dst.streams(to).data, to.width, lane}, wordColumn{src.streams(q).data, q.width, int(c) - q.first})
			}
		}
		if dst.X != nil {
			src.gatherFloats(dst.floats(to), part)
		}
	}
}

// gatherFloats copies the floats of columns of p to a panel of as many.
func (p *Panels) gatherFloats(x []float32, cols []int32) {
	for lane, c := range cols {
		q := p.panel(int(c) / PanelCols)
		y := p.floats(q)[int(c)-q.first:]
		for k := range p.K {
			x[k*len(cols)+lane] = y[k*q.width]
		}
	}
}

// gatherPanel copies 8 columns, all of panels of 8, to a panel. It writes the panel
// from front to back, because one column's words alone are a line of the cache apart
// from each other: copied column by column they take three times as long.
func (p *Panels) gatherPanel(dst []byte, cols *[PanelCols]int32) {
	const row = 4 * PanelCols
	var from [PanelCols]unsafe.Pointer
	for i, c := range cols {
		data := p.streams(p.panel(int(c) / PanelCols)).data[:len(dst)]
		from[i] = unsafe.Pointer(&data[4*(int(c)%PanelCols)])
	}
	a, b, c, d, e, f, g, h := from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]
	for at := 0; at+row <= len(dst); at += row {
		to := (*[PanelCols]uint32)(unsafe.Pointer(&dst[at]))
		to[0] = *(*uint32)(unsafe.Add(a, at))
		to[1] = *(*uint32)(unsafe.Add(b, at))
		to[2] = *(*uint32)(unsafe.Add(c, at))
		to[3] = *(*uint32)(unsafe.Add(d, at))
		to[4] = *(*uint32)(unsafe.Add(e, at))
		to[5] = *(*uint32)(unsafe.Add(f, at))
		to[6] = *(*uint32)(unsafe.Add(g, at))
		to[7] = *(*uint32)(unsafe.Add(h, at))
	}
}

// wordColumn is a column of a panel. All streams of a panel are rows of one word of
// 4 bytes per column, so that a column is every width-th word from number at on.
type wordColumn struct {
	data      []byte
	width, at int
}

// copyWords copies a column to another of as many words.
func copyWords(dst, src wordColumn) {
	words := len(dst.data) / (4 * dst.width)
	to, from := unsafe.Pointer(&dst.data[4*dst.at]), unsafe.Pointer(&src.data[4*src.at])
	_ = src.data[4*(words-1)*src.width+4*src.at+3]
	for i := range words {
		*(*uint32)(unsafe.Add(to, 4*dst.width*i)) = *(*uint32)(unsafe.Add(from, 4*src.width*i))
	}
}
