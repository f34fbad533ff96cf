//go:build (!amd64 && !arm64) || purego

package kernel

func (Set) scaleMul(dst, x, w []float32, c float32)        { scaleMulGeneric(dst, x, w, c) }
func (Set) add(dst, x []float32)                           { addGeneric(dst, x) }
func (Set) scaleTo(dst, x []float32, c float32)            { scaleToGeneric(dst, x, c) }
func (Set) siluMul(dst, gate, up []float32)                { siluMulGeneric(dst, gate, up) }
func (Set) geluMul(dst, gate, up []float32)                { geluMulGeneric(dst, gate, up) }
func (Set) ropeHalves(dst, x, cos, sin []float32)          { ropeHalvesGeneric(dst, x, cos, sin, 0) }
func (Set) ropePairs(dst, x, cos, sin []float32)           { ropePairsGeneric(dst, x, cos, sin) }
func (Set) dot(a, b []float32) float32                     { return dotGeneric(a, b) }
func (Set) expSum(x []float32, max, scale float32) float32 { return expSumGeneric(x, max, scale) }
func (Set) prefetch([]float32)                             {}
func (Set) sum(x []float32) float32                        { return sumGeneric(x) }
func (Set) squares(x []float32, mean float32) float32      { return squaresGeneric(x, mean) }
func (Set) centre(dst, x, w, b []float32, m moments)       { centreGeneric(dst, x, w, b, m) }
func (Set) geluErfMul(dst, gate, up []float32)             { geluErfMulGeneric(dst, gate, up) }
func (Set) swigluOAI(dst, gate, up []float32)              { swigluOAIGeneric(dst, gate, up) }
func (Set) addScaled(dst, x []float32, c float32)          { addScaled(dst, x, c) }
