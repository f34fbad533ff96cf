package kernel

import "github.com/penstock-llm/penstock/internal/quant"

// attendScoresGeneric fills s[i][t] = q_i·k_t for the blocks [lo, hi).
func attendScoresGeneric(st *attendState) {
	if st.kv.Type != quant.F16 {
		attendScoresIntGeneric(st)
		return
	}
	hd, n := st.tile.HeadDim, st.tile.N
	for b := st.lo; b < st.hi; b++ {
		k := halves(st.block(st.kv.K, b-st.chunk/BlockTokens)) // [hd][16]
		at := b*BlockTokens - st.chunk
		for i := range n {
			clear(st.s[i*attendChunk+at:][:BlockTokens])
		}
		var row [BlockTokens]float32
		for d := range hd {
			for j, h := range k[d*BlockTokens:][:BlockTokens] {
				row[j] = widen(h)
			}
			for i := range n {
				q := st.q[i*MaxHeadDim+d]
				s := (*[BlockTokens]float32)(st.s[i*attendChunk+at:])
				for j := range s {
					s[j] += q * row[j]
				}
			}
		}
	}
}

// attendWeightsGeneric turns the chunk's scores into weights relative to the
// new peak, and notes in alpha by what the old sums shrink.
func attendWeightsGeneric(st *attendState) {
	first, last := st.lo*BlockTokens-st.chunk, st.hi*BlockTokens-st.chunk
	for i := range st.tile.N {
		s := st.s[i*attendChunk:][first:last]
		peak := max(st.peak[i], maxGeneric(s))
		st.alpha[i] = exp32(st.peak[i] - peak)
		st.peak[i] = peak
		st.sum[i] = st.sum[i]*st.alpha[i] + expSumGeneric(s, peak, 1)
	}
}

// attendValuesGeneric adds the chunk's weighted values: o_i += Σ_t s[i][t] v_t.
func attendValuesGeneric(st *attendState) {
	if st.kv.Type != quant.F16 {
		attendValuesIntGeneric(st)
		return
	}
	hd, n := st.tile.HeadDim, st.tile.N
	var row [MaxHeadDim]float32
	for b := st.lo; b < st.hi; b++ {
		v := halves(st.block(st.kv.V, b-st.chunk/BlockTokens)) // [16][hd]
		for j := range BlockTokens {
			for d, h := range v[j*hd:][:hd] {
				row[d] = widen(h)
			}
			at := b*BlockTokens + j - st.chunk
			for i := range n {
				if w := st.s[i*attendChunk+at]; w != 0 {
					addScaled(st.o[i*MaxHeadDim:][:hd], row[:hd], w)
				}
			}
		}
	}
}

// addScaled sets dst += x*c.
func addScaled(dst, x []float32, c float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v * c
	}
}

// attendSoftcapGeneric bends the chunk's scores into (-c, c): c*tanh(s/c), as
// c - 2c/(1+exp(2s/c)).
func attendSoftcapGeneric(st *attendState) {
	c := st.tile.Softcap
	first, last := st.lo*BlockTokens-st.chunk, st.hi*BlockTokens-st.chunk
	for i := range st.tile.N {
		s := st.s[i*attendChunk:][first:last]
		for j, x := range s {
			s[j] = c - 2*c/(1+exp32(2/c*x))
		}
	}
}
