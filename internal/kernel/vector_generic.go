package kernel

import "math"

// exp32 computes e^x as 2^n * 2^f with t = x*log2(e), n = floor(t) and f = t-n;
// 2^f is 1 + f·q(f), q the minimax polynomial of degree 4 (relative error
// 8e-8 before rounding), so that e^0 is exactly 1. The other error comes from
// rounding t: it is as large as if x were off by one unit in its last place.
const (
	expMin = -87.0 // below, the result is 0
	expMax = 88.0  // above, the result is exp(expMax)

	log2e = 1.44269504088896341
	expC1 = 0.6931512951850891
	expC2 = 0.24016444385051727
	expC3 = 0.05579991638660431
	expC4 = 0.009017028845846653
	expC5 = 0.0018671306315809488
)

func exp32(x float32) float32 {
	if !(x >= expMin) { // also NaN
		return 0
	}
	t := min(x, expMax) * log2e
	n := int32(t)
	if float32(n) > t {
		n--
	}
	f := t - float32(n)
	p := ((((expC5*f+expC4)*f+expC3)*f+expC2)*f+expC1)*f + 1
	return p * math.Float32frombits(uint32(n+127)<<23)
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

// dotGeneric keeps four sums, because with one sum each addition would wait for the
// one before it.
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

// sumGeneric keeps four sums, as dotGeneric does.
func sumGeneric(x []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(x) >= 4 {
		v := (*[4]float32)(x)
		s0 += v[0]
		s1 += v[1]
		s2 += v[2]
		s3 += v[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s1) + (s2 + s3)
}

// squaresGeneric is Σ (x-mean)².
func squaresGeneric(x []float32, mean float32) float32 {
	var s0, s1, s2, s3 float32
	for len(x) >= 4 {
		v := (*[4]float32)(x)
		d0, d1, d2, d3 := v[0]-mean, v[1]-mean, v[2]-mean, v[3]-mean
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		x = x[4:]
	}
	for _, v := range x {
		s0 += (v - mean) * (v - mean)
	}
	return (s0 + s1) + (s2 + s3)
}

// centreGeneric sets dst = (x-mean)*scale*w + b.
func centreGeneric(dst, x, w, b []float32, m moments) {
	for i, v := range x {
		dst[i] = (v-m.mean)*m.scale*w[i] + b[i]
	}
}

// scaleMulGeneric sets dst = x*c*w; w nil means 1.
func scaleMulGeneric(dst, x, w []float32, c float32) {
	if w == nil {
		scaleToGeneric(dst, x, c)
		return
	}
	for i, v := range x {
		dst[i] = v * c * w[i]
	}
}

func addGeneric(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
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

// Constants of gpt-oss's activation.
const (
	oaiAlpha = 1.702
	oaiLimit = 7
)

func swigluOAIGeneric(dst, gate, up []float32) {
	for i, g := range gate {
		g = min(g, oaiLimit)
		dst[i] = g / (1 + exp32(-oaiAlpha*g)) * (max(min(up[i], oaiLimit), -oaiLimit) + 1)
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

// geluErfMulGeneric uses 1/(1+exp(-p(g))) for the normal distribution's integral up
// to g, where p is an odd polynomial of degree 5, fitted so that the error of
// gelu(g) is at most 2.6e-5 everywhere. Beyond |g| = 5 the integral is 0 or 1
// within that error, and p goes on as a line.
func geluErfMulGeneric(dst, gate, up []float32) {
	const c1, c3, c5, most = 1.5950157658759296, 0.0740112941658954, -0.0007030338756824904, 25
	for i, g := range gate {
		q := min(g*g, most)
		p := g * (c1 + q*(c3+q*c5))
		dst[i] = g / (1 + exp32(-p)) * up[i]
	}
}

// ropeHalvesGeneric rotates from the pair of that number on.
func ropeHalvesGeneric(dst, x, cos, sin []float32, from int) {
	half := len(cos)
	for i := from; i < half; i++ {
		a, b, c, s := x[i], x[half+i], cos[i], sin[i]
		dst[i], dst[half+i] = a*c-b*s, a*s+b*c
	}
}

func ropePairsGeneric(dst, x, cos, sin []float32) {
	for i, c := range cos {
		a, b := x[2*i], x[2*i+1]
		dst[2*i], dst[2*i+1] = a*c-b*sin[i], a*sin[i]+b*c
	}
}
