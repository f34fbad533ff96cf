package kernel

import "math"

// exp32 computes e^x = 2^n * e^r with n = round(x/ln 2), |r| <= ln(2)/2, and
// e^r = 1 + r + r²·q(r), q the minimax polynomial of degree 4 (relative error
// 3e-9 before rounding). ln 2 is split so that n*ln2Hi is exact.
const (
	expMin = -87.0 // below, the result is 0
	expMax = 88.0  // above, the result is exp(expMax)

	log2e  = 1.44269504088896341
	ln2Hi  = 0.693359375
	ln2Lo  = -2.12194440e-4
	expC2  = 0.4999999403953552
	expC3  = 0.1666652113199234
	expC4  = 0.04166838899254799
	expC5  = 0.008368716575205326
	expC6  = 0.001381459878757596
	rounds = 3 << 22 // adding it leaves an integer in a float32's low bits
)

func exp32(x float32) float32 {
	if !(x >= expMin) { // also NaN
		return 0
	}
	x = min(x, expMax)
	n := x*log2e + rounds - rounds
	r := x - n*ln2Hi - n*ln2Lo
	q := (((expC6*r+expC5)*r+expC4)*r+expC3)*r + expC2
	p := 1 + (r + r*r*q)
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

func expSumGeneric(x []float32, max, scale float32) float32 {
	var s [4]float32
	for len(x) >= 4 {
		v := (*[4]float32)(x)
		for j := range v {
			v[j] = exp32((v[j] - max) * scale)
			s[j] += v[j]
		}
		x = x[4:]
	}
	for i := range x {
		x[i] = exp32((x[i] - max) * scale)
		s[0] += x[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

func maxGeneric(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

// dotGeneric keeps four sums: one alone would wait for every addition.
func dotGeneric(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		x, y := (*[4]float32)(a), (*[4]float32)(b)
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		a, b = a[4:], b[4:]
	}
	for i, x := range a {
		s0 += x * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func rmsNormGeneric(dst, x, w []float32, eps float32) {
	mean := dotGeneric(x, x) / float32(len(x))
	scale := float32(1 / math.Sqrt(float64(mean+eps)))
	if w == nil {
		scaleToGeneric(dst, x, scale)
		return
	}
	for i, v := range x {
		dst[i] = v * scale * w[i]
	}
}

func layerNormGeneric(dst, x, w, b []float32, eps float32) {
	var sum, sq float64
	for _, v := range x {
		sum += float64(v)
	}
	mean := sum / float64(len(x))
	for _, v := range x {
		sq += (float64(v) - mean) * (float64(v) - mean)
	}
	m, scale := float32(mean), float32(1/math.Sqrt(sq/float64(len(x))+float64(eps)))
	for i, v := range x {
		y := (v - m) * scale
		if w != nil {
			y *= w[i]
		}
		if b != nil {
			y += b[i]
		}
		dst[i] = y
	}
}

func addGeneric(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}

func addScaledGeneric(dst, x []float32, c float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v * c
	}
}

func scaleToGeneric(dst, x []float32, c float32) {
	for i, v := range x {
		dst[i] = v * c
	}
}

func siluMulGeneric(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = g / (1 + exp32(-g)) * up[i]
	}
}

// geluMulGeneric uses 0.5*(1+tanh(z)) = 1/(1+exp(-2z)).
func geluMulGeneric(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = g / (1 + exp32(-2*geluZ(g))) * up[i]
	}
}

// Constants of the tanh approximation: z = sqrt(2/pi) * (g + geluCube*g³).
const (
	geluRoot = 0.79788456080286535588
	geluCube = 0.044715
)

func geluZ(g float32) float32 { return geluRoot * g * (1 + geluCube*g*g) }

func ropeHalvesGeneric(lo, hi, cos, sin []float32) {
	for i, c := range cos {
		a, b := lo[i], hi[i]
		lo[i], hi[i] = a*c-b*sin[i], a*sin[i]+b*c
	}
}

func ropePairsGeneric(x, cos, sin []float32) {
	for i, c := range cos {
		a, b := x[2*i], x[2*i+1]
		x[2*i], x[2*i+1] = a*c-b*sin[i], a*sin[i]+b*c
	}
}
