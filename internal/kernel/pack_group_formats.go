package kernel

// The packers of a unit of all rows of a group. Each does what the packer of single rows
// in front of whose name it puts "group" does; the layouts are described there.

func groupF32(u *groupUnit) { u.weave(u.quants, 0, 8) }

func groupF16(u *groupUnit) {
	u.weave(u.lines[:], 0, 4)
	for j := range 16 {
		out := (*[2 * halfRow]byte)(u.quants[2*halfRow*j:])
		splitHalves((*[halfRow]byte)(out[:]), (*[halfRow]byte)(out[halfRow:]), u.line(j))
	}
}

func groupQ8_0(u *groupUnit) {
	u.half(0, 0, 0)
	u.weave(u.quants, 2, 2)
	out := (*[8 * lineBytes]byte)(u.quants)
	for i := 0; i < len(out); i += 8 {
		le.PutUint64(out[i:], le.Uint64(out[i:])^0x80808080_80808080)
	}
}

func groupQ4_0(u *groupUnit) {
	u.half(0, 0, 0)
	u.weave(u.quants, 2, 1)
}

func groupQ4_1(u *groupUnit) {
	u.twoHalves(0)
	u.weave(u.quants, 4, 1)
}

// fifth stores the plane of fifth bits, which are at byte at of each row.
func (u *groupUnit) fifth(at int) {
	out := (*[lineBytes]byte)(u.quants[4*planeBytes:])
	src := u.src[at:]
	for r := range Lanes {
		le.PutUint32(out[4*r:], fifthBits(src[r*u.stride:][:4]))
	}
}

func groupQ5_0(u *groupUnit) {
	u.half(0, 0, 0)
	u.fifth(2)
	u.weave(u.quants, 6, 1)
}

func groupQ5_1(u *groupUnit) {
	u.twoHalves(0)
	u.fifth(4)
	u.weave(u.quants, 8, 1)
}

func groupMXFP4(u *groupUnit) {
	out := (*[byteRow]byte)(u.scales)
	for r := range out {
		out[r] = max(u.src[r*u.stride], 1) - 1
	}
	u.weave(u.quants, 1, 1)
}

func groupIQ4_XS(u *groupUnit) {
	for r := range Lanes {
		iq4Scales(groupRow{format: u.format, scales: u.scales, r: r}, 0, (*[8]byte)(u.src[r*u.stride:]))
	}
	u.weave(u.quants, 8, 8)
}

// superScaleLines is superScales for the first four lines.
func (u *groupUnit) superScaleLines() {
	const (
		six, four, two = 0x3f3f3f3f_3f3f3f3f, eachLow4, eachLow2
		even           = 0x000000ff_000000ff // the first byte of a dword
	)
	u.storeHalves(0)
	var lines [4]*[lineBytes]byte // scale and minimum of blocks 2i and 2i+1, in turn
	for i := range lines {
		lines[i] = u.line(i)
	}
	for i := 0; i < lineBytes; i += 8 {
		a, b, c := le.Uint64(lines[1][i:]), le.Uint64(lines[2][i:]), le.Uint64(lines[3][i:])
		scales, minima := a&six, b&six
		upper, upperMinima := c&four|a>>6&two<<4, c>>4&four|b>>6&two<<4
		for j, v := range [4][2]uint64{{scales, minima}, {scales >> 16, minima >> 16}, {upper, upperMinima}, {upper >> 16, upperMinima >> 16}} {
			s, m := v[0], v[1]
			le.PutUint64(lines[j][i:], s&even|m&even<<8|s&(even<<8)<<8|m&(even<<8)<<16)
		}
	}
	for i, line := range lines {
		splitBytes((*[lineBytes]byte)(u.scales[2*halfRow+lineBytes*i:]), line)
	}
}

// nibbleBlocks stores the nibbles of eight blocks, two of which share eight lines, and
// lie apart blocks apart. The first of the i-th two is block at(i).
func (u *groupUnit) nibbleBlocks(line, apart int, at func(i int) int) {
	size := u.format.quants
	for i := range 4 {
		first := u.quants[size*at(i):]
		pairNibbleLines(first, first[size*apart:], (*[8 * lineBytes]byte)(u.lines[lineBytes*(line+8*i):]))
	}
}

func groupQ4_K(u *groupUnit) {
	u.weave(u.lines[:], 0, 9)
	u.superScaleLines()
	u.nibbleBlocks(4, 1, everySecond)
}

func groupQ5_K(u *groupUnit) {
	u.weave(u.lines[:], 0, 11)
	u.superScaleLines()
	u.nibbleBlocks(12, 1, everySecond)
	bitLines(u.quants[4*planeBytes:], u.format.quants, (*[8 * lineBytes]byte)(u.lines[4*lineBytes:]))
}

func everySecond(i int) int { return 2 * i }

// pairBlocks stores the pairs of eight blocks, from 16 lines on, in planes that begin at
// byte at of a block.
func (u *groupUnit) pairBlocks(line, at int, flip uint64) {
	size := u.format.quants
	for i := range 4 { // either vector of the pairs, of four blocks
		out := u.quants[4*size*(i/2)+at+lineBytes*(i%2):]
		pairLines(out, size, (*[4 * lineBytes]byte)(u.lines[lineBytes*(line+4*i):]), flip)
	}
}

// byteFactors stores the bytes of four lines as the factors of the unit's blocks, in the
// order in which they are in a row.
func (u *groupUnit) byteFactors(line int) {
	for i := range 4 {
		splitBytes((*[lineBytes]byte)(u.scales[halfRow*u.format.halves+lineBytes*i:]), u.line(line+i))
	}
}

func groupQ6_K(u *groupUnit) {
	u.half(0, 208, 0)
	u.weave(u.lines[:], 0, 13)
	u.nibbleBlocks(0, 2, func(i int) int { return i/2*4 + i%2 }) // blocks c and c+2 of a half share 32 bytes
	u.pairBlocks(32, 4*planeBytes, 0)
	u.byteFactors(48)
}

func groupQ3_K(u *groupUnit) {
	for r := range Lanes {
		q3Scales(groupRow{format: u.format, scales: u.scales, r: r}, 0, (*[14]byte)(u.src[r*u.stride+96:]))
	}
	u.weave(u.lines[:], 0, 6)
	bitLines(u.quants[2*planeBytes:], u.format.quants, (*[8 * lineBytes]byte)(u.lines[:]))
	u.pairBlocks(8, 0, 0)
}

func groupQ2_K(u *groupUnit) {
	u.twoHalves(80)
	u.weave(u.lines[:], 0, 5)
	u.byteFactors(0)
	u.pairBlocks(4, 0, 0)
}

func groupTQ2_0(u *groupUnit) {
	u.half(0, 64, signBit)
	u.weave(u.lines[:], 0, 4)
	u.pairBlocks(0, 0, ^uint64(0))
}

func groupQ2_0(u *groupUnit) {
	u.half(0, 0, signBit)
	u.weave(u.quants, 2, 1)
	out := (*[4 * lineBytes]byte)(u.quants)
	for i := 0; i < len(out); i += 8 {
		le.PutUint64(out[i:], ^fourPairLine(le.Uint64(out[i:])))
	}
}

func groupQ1_0(u *groupUnit) {
	u.half(0, 0, 0)
	u.weave(u.quants, 2, 1)
	out := (*[4 * lineBytes]byte)(u.quants)
	for i := 0; i < len(out); i += 8 {
		le.PutUint64(out[i:], fifthBitLine(le.Uint64(out[i:])))
	}
}

// groupTQ1_0 takes digits off two rows at a time. A byte times three is a digit and, below
// it, what is left; every second byte is multiplied with room above it.
func groupTQ1_0(u *groupUnit) {
	const even, digits = 0x00ff00ff_00ff00ff, 0x00030003_00030003
	u.half(0, 52, signBit)
	u.weave(u.lines[:], 0, 3)
	u.weave(u.lines[12*lineBytes:], 36, 1) // the last of the four dwords is the one at byte 48
	for i := 0; i < lineBytes; i += 8 {
		var fours [68]uint64 // codes of values 4j to 4j+3; four digits more than there are
		take := func(line, first, step int) {
			v := le.Uint64(u.lines[lineBytes*line+i:])
			a, b := v&even, v>>8&even
			for k := range 5 {
				a, b = 3*a, 3*b
				fours[first+k*step] = a>>8&digits | b&(digits<<8)
				a, b = a&even, b&even
			}
		}
		for line := range 8 {
			take(line, line, 8)
		}
		for line := 8; line < 12; line++ {
			take(line, 32+line, 4)
		}
		take(15, 60, 1)
		for j := 0; j < 64; j += 4 { // a line of pairs
			f := (*[4]uint64)(fours[j:])
			le.PutUint64(u.quants[lineBytes*(j/4)+i:], ^(f[0] | f[1]<<2 | f[2]<<4 | f[3]<<6))
		}
	}
}
