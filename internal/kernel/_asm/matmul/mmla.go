package main

import (
	"math"

	"github.com/penstock-llm/penstock/internal/kernel/_asm/a64"
)

// The part of neon.go that is the loop with SMMLA. Sum number 4i+j has rows 2i and
// 2i+1 of the columns 2j and 2j+1: [row][column].

// sum is the integer sums of a pair of rows and a pair of columns.
func (k *neon) sum(rows, cols int) a64.V { return a64.V(4*rows + cols) }

// multiply adds vectors j and j+1 times every column.
func (k *neon) multiply(j int) {
	const (
		w = a64.V(16) // four registers: eight rows of vector j, of vector j+1
		z = a64.V(20) // four registers: two rows each, of both vectors
		u = a64.V(30) // free until the factors are expanded
	)
	k.value(j, w, u)
	k.value(j+1, w+2, u)
	for r := range a64.V(2) {
		k.Zip1(z+2*r, w+r, w+2+r)
		k.Zip2(z+2*r+1, w+r, w+2+r)
	}
	k.LoadPair(w, nX, 32*j)
	k.LoadPair(w+2, nX, 32*j+32)
	for pair := range 4 {
		x, from := vD+a64.V(pair%2), w+a64.V(pair/2)
		if pair%2 == 0 {
			k.Zip1(x, from, from+2)
		} else {
			k.Zip2(x, from, from+2)
		}
		for rows := range 4 {
			if k.unsigned() {
				k.UnsignedMmla(k.sum(rows, pair), z+a64.V(rows), x)
			} else {
				k.Mmla(k.sum(rows, pair), z+a64.V(rows), x)
			}
		}
	}
}

// spreadRows makes factors of pairs of rows, [row][2], of those of four rows in v and
// the next, in to and the next three.
func (k *neon) spreadRows(v, to a64.V) {
	for r := range a64.V(2) {
		k.Zip1(to+2*r, v+r, v+r)
		k.Zip2(to+2*r+1, v+r, v+r)
	}
}

// spreadCols makes pairs of columns of field i, [2][column], in to and the next three.
func (k *neon) spreadCols(i int, to a64.V) {
	k.field(i, to)
	k.DupD(to+3, to+1, 1)
	k.DupD(to+2, to+1, 0)
	k.DupD(to+1, to, 1)
	k.DupD(to, to, 0)
}

const (
	mRows = a64.V(16) // factors of pairs of rows, four registers
	mCols = a64.V(20) // of pairs of columns
	mP    = a64.V(28)
	mY    = a64.V(29)
)

// mmlaWhole is scaleWhole.
func (k *neon) mmlaWhole() {
	if k.f.stream == affine {
		k.mmlaAffine()
		return
	}
	k.spreadRows(vD, mRows)
	k.spreadCols(0, mCols)
	for rows := range 4 {
		for cols := range 4 {
			acc, at := k.sum(rows, cols), sumAt(4*rows+cols)
			k.Float(acc, acc)
			k.Fmul(acc, acc, mRows+a64.V(rows))
			k.Load(mY, nSums, at)
			k.Fmla(mY, acc, mCols+a64.V(cols))
			k.Store(mY, nSums, at)
		}
	}
}

// mmlaAffine spreads the factors of two rows at a time, since those of the columns take
// eight registers. It needs the registers of the masks.
func (k *neon) mmlaAffine() {
	const (
		d, m   = vMasks, vMasks + 1
		y      = vSpare
		dx, sx = a64.V(16), a64.V(20)
	)
	k.spreadCols(0, dx)
	k.spreadCols(1, sx)
	for rows := range 4 {
		from := a64.V(rows / 2)
		if rows%2 == 0 {
			k.Zip1(d, vD+from, vD+from)
			k.Zip1(m, vM+from, vM+from)
		} else {
			k.Zip2(d, vD+from, vD+from)
			k.Zip2(m, vM+from, vM+from)
		}
		for cols := range a64.V(4) {
			acc, at := k.sum(rows, int(cols)), sumAt(4*rows+int(cols))
			k.Float(acc, acc)
			k.Fmul(acc, acc, d)
			k.Load(y, nSums, at)
			k.Fmla(y, acc, dx+cols)
			if k.f.minimum {
				k.Fmls(y, m, sx+cols)
			} else {
				k.Fmla(y, m, sx+cols)
			}
			k.Store(y, nSums, at)
		}
	}
	k.loadMasks()
}

// mmlaHalf is scaleHalf.
func (k *neon) mmlaHalf(h int) {
	if h == 0 {
		k.mmlaFirst()
		return
	}
	k.spreadRows(vD, mRows)
	if !k.f.minimum {
		k.spreadCols(0, mCols)
	}
	k.each(func(acc, row, col a64.V) {
		at := firstAt(int(acc))
		k.Float(acc, acc)
		switch {
		case k.f.minimum: // t stays in its register
			k.Load(mP, nSums, at)
			k.Fmla(mP, acc, row)
			k.Mov(acc, mP)
		default:
			k.Load(mP, nSums, at)
			k.Fmla(mP, acc, row)
			k.mmlaAdd(mP, acc, col)
		}
	})
	if !k.f.minimum {
		return
	}
	for half := range 2 {
		k.minima(half, vM)
		k.spreadRows(vM, mRows)
		k.spreadCols(1+half, mCols)
		k.Constant(mP, nAt, math.Float32bits(magic))
		for cols := range a64.V(4) {
			k.Fsub(mCols+cols, mCols+cols, mP)
		}
		k.each(func(acc, row, col a64.V) { k.Fmla(acc, row, col) })
	}
	k.spreadCols(0, mCols)
	k.each(func(acc, _, col a64.V) { k.mmlaAdd(acc, acc, col) })
}

// mmlaFirst is scaleHalf of the first half. The registers of the columns have what the
// magic number makes of pairs of rows.
func (k *neon) mmlaFirst() {
	const base = mCols
	k.spreadRows(vBase, base)
	k.spreadRows(vD, mRows)
	for rows := range 4 {
		for cols := range 4 {
			acc := k.sum(rows, cols)
			k.Float(acc, acc)
			k.Mov(mP, base+a64.V(rows))
			k.Fmla(mP, acc, mRows+a64.V(rows))
			k.Store(mP, nSums, firstAt(int(acc)))
		}
	}
}

// mmlaAdd is y = fma(t, dx, y) for one register of sums.
func (k *neon) mmlaAdd(t, sum, dx a64.V) {
	k.Load(mY, nSums, sumAt(int(sum)))
	k.Fmla(mY, t, dx)
	k.Store(mY, nSums, sumAt(int(sum)))
}

// each calls emit for every sum, with its factors.
func (k *neon) each(emit func(acc, rows, cols a64.V)) {
	for rows := range 4 {
		for cols := range 4 {
			emit(k.sum(rows, cols), mRows+a64.V(rows), mCols+a64.V(cols))
		}
	}
}

// unzip loads rows 4r to 4r+3 of column c.
func (k *neon) unzip(r, c int, to a64.V) a64.V {
	k.Load(to, nSums, sumAt(8*r+c/2))
	k.Load(vU, nSums, sumAt(8*r+4+c/2))
	if c%2 == 0 {
		k.Uzp1(to, to, vU)
	} else {
		k.Uzp2(to, to, vU)
	}
	return to
}
