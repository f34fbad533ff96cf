//go:build amd64 && !purego

package kernel

//go:noescape
func vnniQ8_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_0(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_1(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ2_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ3_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ6_K(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniIQ4_NL(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniIQ4_XS(quants, scales, x, fields *byte, y *float32, blocks, groups, ldy, cols, ahead, add int)

//go:noescape
func floatF32AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatF16AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatBF16AVX512(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatF32AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatF16AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, add int)

//go:noescape
func floatBF16AVX2(weights *byte, x, y *float32, k, groups, ldy, cols, add int)
