package kernel

import "math"

// tinyAmax keeps 127/amax finite: activations below it count as zero.
const tinyAmax = 1e-30

// quantizeGeneric writes x into a panel: from block b0 of its column c on. Its
// float32 operations are the definition of the other tiers.
func quantizeGeneric(p *streams, b0, c int, x *Columns) {
	for i := range x.N {
		p.quantizeColumn(b0, c+i, x.X[i*x.LD:][:x.Len])
	}
}

func (p *streams) quantizeColumn(b0, c int, x []float32) {
	w := p.width
	for i := 0; i < len(x)/BlockLen; i++ {
		b := b0 + i
		var q [BlockLen]int8
		dx := quantizeBlock(&q, (*[BlockLen]float32)(x[i*BlockLen:]))
		var sum [2]int32
		dst := p.quants(b, c)
		for j := range 8 {
			four := (*[4]int8)(q[4*j:])
			for t, v := range four {
				dst[j*4*w+t] = byte(v)
				sum[j/4] += int32(v)
			}
		}
		bits, total := math.Float32bits(dx), sum[0]+sum[1]
		f := p.fields(offsetStream, b, c)
		le.PutUint32(f, bits)
		le.PutUint32(f[4*w:], uint32(magicBits-128*total))
		f = p.fields(affineStream, b, c)
		le.PutUint32(f, bits)
		le.PutUint32(f[4*w:], math.Float32bits(dx*float32(total)))
		f = p.fields(halvesStream, b, c)
		le.PutUint32(f, bits)
		le.PutUint32(f[4*w:], uint32(magicBits-128*sum[0]))
		le.PutUint32(f[8*w:], uint32(magicBits-128*sum[1]))
	}
}

// quantizeBlock returns the scale. The largest magnitude is found on the bit
// patterns, where NaN is larger than any number, so that it reaches the scale.
func quantizeBlock(q *[BlockLen]int8, x *[BlockLen]float32) float32 {
	const (
		absMask = 1<<31 - 1
		inf     = 0x7f800000
	)
	amaxBits := math.Float32bits(tinyAmax)
	for _, v := range x {
		amaxBits = max(amaxBits, math.Float32bits(v)&absMask)
	}
	amax := math.Float32frombits(amaxBits)
	if amaxBits >= inf {
		*q = [BlockLen]int8{}
		return amax / 127
	}
	inv := 127 / amax
	for i, v := range x {
		// The sum's low bits are the integer, rounded to even.
		q[i] = int8(math.Float32bits(float32(v*inv)+magic) - magicBits)
	}
	return amax / 127
}
