//go:build amd64 && !purego

package kernel

//go:noescape
func vnniQ8_0(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_0(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_1(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_0(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_1(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ2_K(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ3_K(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ4_K(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ5_K(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniQ6_K(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniIQ4_NL(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)

//go:noescape
func vnniIQ4_XS(w, x, fields *byte, y *float32, blocks, scaleBytes, groups, ldy, cols, ahead, add int)
