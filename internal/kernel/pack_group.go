package kernel

import "sync"

// A whole group of rows is packed in lines. A line has the same dword of every row, side
// by side, as the planes have them. Eight operations on 64 bits then do for all rows what
// the packers of single rows do for one. These are the specification, and pack the last
// rows of a matrix if they are no whole group.

const (
	lineBytes = 4 * Lanes
	weaveStep = 16 // bytes of a row that weave moves at once

	mostLines = 52 // that a packer makes of a unit
)

// groupUnit is a unit of all rows of a group: where it is in the file and where it goes.
type groupUnit struct {
	set    Set
	format *format

	src    []byte // the first row's, and everything after it
	bytes  int    // of a row's
	stride int    // from a row to the next
	quants []byte // of the unit
	scales []byte // of the unit

	lines [mostLines * lineBytes]byte // scratch
}

// unitsToPack keeps units for later: where a packer is called, it is not known which, so
// that each would be allocated.
var unitsToPack = sync.Pool{New: func() any { return new(groupUnit) }}

// packGroups packs so many groups, from group g on, of the rows in src.
func (s Set) packGroups(m *Matrix, g, groups int, src []byte) {
	f, rowBytes := m.format, m.Type.RowBytes(m.Cols)
	units := m.Cols / f.unit
	quants := f.unit / BlockLen * f.quants
	u := unitsToPack.Get().(*groupUnit)
	defer unitsToPack.Put(u)
	u.set, u.format, u.bytes, u.stride = s, f, rowBytes/units, rowBytes
	for i := range groups {
		rows := src[i*Lanes*rowBytes : (i+1)*Lanes*rowBytes]
		q, scales := m.group(g + i)
		for n := range units {
			u.src = rows[n*u.bytes:]
			u.quants, u.scales = q[n*quants:(n+1)*quants], scales[n*f.scales:(n+1)*f.scales]
			f.packGroup(u)
		}
	}
	u.src, u.quants, u.scales = nil, nil, nil
}

// weave sets dst[j][r], 4 bytes each, to dword j of the unit's row r from byte at on, for
// 4*steps dwords.
func (u *groupUnit) weave(dst []byte, at, steps int) {
	src := u.src[at:]
	_, _ = dst[4*steps*lineBytes-1], src[(Lanes-1)*u.stride+weaveStep*steps-1]
	u.set.weave(dst, src, u.stride, steps)
}

// line is line j of the scratch.
func (u *groupUnit) line(j int) *[lineBytes]byte { return (*[lineBytes]byte)(u.lines[lineBytes*j:]) }

// half copies the float16 at byte at of each row to float16 i of the scales, with the
// bits of flip turned over.
func (u *groupUnit) half(i, at int, flip uint16) {
	out := (*[halfRow]byte)(u.scales[halfRow*i:])
	src := u.src[at:]
	for r := range Lanes {
		le.PutUint16(out[2*r:], le.Uint16(src[r*u.stride:])^flip)
	}
}

// twoHalves copies two of them that are side by side, to the first two of the scales.
func (u *groupUnit) twoHalves(at int) {
	from := min(at, u.bytes-weaveStep) // as much as is moved at once ends with the unit
	u.weave(u.lines[:], from, 1)
	u.storeHalves((at - from) / 4)
}

// storeHalves stores two of each row, which a line has, as the first two of the scales.
func (u *groupUnit) storeHalves(line int) {
	out := (*[2 * halfRow]byte)(u.scales)
	splitHalves((*[halfRow]byte)(out[:]), (*[halfRow]byte)(out[halfRow:]), u.line(line))
}

// splitHalves stores the lower and the upper half of each dword of a line.
func splitHalves(lower, upper *[halfRow]byte, line *[lineBytes]byte) {
	const even = 0xffff
	for i := 0; i < lineBytes; i += 8 {
		v := le.Uint64(line[i:])
		le.PutUint32(lower[i/2:], uint32(v&even|v>>16&^even))
		le.PutUint32(upper[i/2:], uint32(v>>16&even|v>>32&^even))
	}
}

// splitBytes stores the four bytes of each dword of a line, those of all rows together.
func splitBytes(out *[lineBytes]byte, line *[lineBytes]byte) {
	for r := range Lanes {
		v := le.Uint32(line[4*r:])
		out[r], out[Lanes+r], out[2*Lanes+r], out[3*Lanes+r] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
}

// swap exchanges the bits of a that lie n above those in mask with the bits of b in mask.
func swap(a, b uint64, n int, mask uint64) (uint64, uint64) {
	t := (a>>n ^ b) & mask
	return a ^ t<<n, b ^ t
}

// turn exchanges in v the bits in mask with those that lie n above them.
func turn(v uint64, n int, mask uint64) uint64 {
	t := (v ^ v>>n) & mask
	return v ^ t ^ t<<n
}

// pairNibbleLines is pairNibbles for lines: four of them with what eight lines have.
func pairNibbleLines(first, second []byte, lines *[8 * lineBytes]byte) {
	a, b := (*[4 * lineBytes]byte)(first), (*[4 * lineBytes]byte)(second)
	for i := 0; i < len(a); i += 8 {
		v, w := swap(le.Uint64(lines[i:]), le.Uint64(lines[4*lineBytes+i:]), 4, eachLow4)
		le.PutUint64(a[i:], v)
		le.PutUint64(b[i:], w)
	}
}

// pairLines is pairPlane for lines: of four lines it makes one of each of four blocks,
// which are stride apart. flip is turned over in them.
func pairLines(out []byte, stride int, lines *[4 * lineBytes]byte, flip uint64) {
	const low2 = eachLow2 | eachLow2<<4
	o0, o1 := (*[lineBytes]byte)(out), (*[lineBytes]byte)(out[stride:])
	o2, o3 := (*[lineBytes]byte)(out[2*stride:]), (*[lineBytes]byte)(out[3*stride:])
	for i := 0; i < lineBytes; i += 8 {
		v0, v1 := le.Uint64(lines[i:]), le.Uint64(lines[lineBytes+i:])
		v2, v3 := le.Uint64(lines[2*lineBytes+i:]), le.Uint64(lines[3*lineBytes+i:])
		v0, v2 = swap(v0, v2, 4, eachLow4)
		v1, v3 = swap(v1, v3, 4, eachLow4)
		v0, v1 = swap(v0, v1, 2, low2)
		v2, v3 = swap(v2, v3, 2, low2)
		le.PutUint64(o0[i:], v0^flip)
		le.PutUint64(o1[i:], v1^flip)
		le.PutUint64(o2[i:], v2^flip)
		le.PutUint64(o3[i:], v3^flip)
	}
}

// bitLines is bitPlane for lines: of eight lines it makes one of each of eight blocks,
// which are stride apart.
func bitLines(out []byte, stride int, lines *[8 * lineBytes]byte) {
	const low2, low1 = eachLow2 | eachLow2<<4, eachLow1 | eachLow1<<2 | eachLow1<<4 | eachLow1<<6
	for i := 0; i < lineBytes; i += 8 {
		var v [8]uint64
		for j := range 4 {
			v[j], v[j+4] = swap(le.Uint64(lines[lineBytes*j+i:]), le.Uint64(lines[lineBytes*(j+4)+i:]), 4, eachLow4)
		}
		v[0], v[2] = swap(v[0], v[2], 2, low2)
		v[1], v[3] = swap(v[1], v[3], 2, low2)
		v[4], v[6] = swap(v[4], v[6], 2, low2)
		v[5], v[7] = swap(v[5], v[7], 2, low2)
		for j := 0; j < 8; j += 2 {
			v[j], v[j+1] = swap(v[j], v[j+1], 1, low1)
		}
		for j := range v {
			le.PutUint64(out[stride*j+i:], v[j])
		}
	}
}

// fifthBitLine is fifthBits for two rows: it moves bit 4j+t of a dword to bit 8t+j.
func fifthBitLine(v uint64) uint64 {
	v = turn(v, 14, 0x0000cccc_0000cccc)
	v = turn(v, 7, 0x00aa00aa_00aa00aa)
	v = turn(v, 2, 0x0c0c0c0c_0c0c0c0c)
	return turn(v, 1, 0x22222222_22222222)
}

// fourPairLine is fourPairs for two rows: it moves pair t of byte f to pair f of byte t.
func fourPairLine(v uint64) uint64 {
	v = turn(v, 12, 0x0000f0f0_0000f0f0)
	return turn(v, 6, 0x00cc00cc_00cc00cc)
}
