package kernel

func weaveGeneric(dst, src []byte, stride, steps int) {
	for i := range steps {
		out, row := (*[4 * lineBytes]byte)(dst[4*lineBytes*i:]), src[weaveStep*i:]
		for r := range Lanes {
			s := (*[weaveStep]byte)(row[r*stride:])
			le.PutUint32(out[4*r:], le.Uint32(s[0:]))
			le.PutUint32(out[lineBytes+4*r:], le.Uint32(s[4:]))
			le.PutUint32(out[2*lineBytes+4*r:], le.Uint32(s[8:]))
			le.PutUint32(out[3*lineBytes+4*r:], le.Uint32(s[12:]))
		}
	}
}
