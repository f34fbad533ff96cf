package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
)

// Where sums begin: see package kernel, panel.go. A conversion that is left out is two
// instructions less for 16 products of a column.
const (
	magic     = 3 << 22
	magicBits = 0x4b400000
)

// geometry is the generator's view of the type of that name in package kernel.
type geometry struct {
	blocks  int    // blocks of a unit of the scales: 1, 2, 4 or 8
	header  int    // bytes at the start of a unit of the scales: the float16 factors
	scales  int    // and then of each block; if a unit is a block, all its bytes
	quants  int    // bytes of quants of a block
	planes  [2]int // bits of a value in the first and in the second plane
	stream  stream
	minimum bool // what the affine part subtracts rather than adds
	odd     bool // the values have one bit less, the lowest is 1
	divide  int  // what the float16 factor is divided by, if not 0

	// The VNNI kernels unpack to 128 + gain·(q-offset), so that one correction
	// serves all offset formats. gain is a power of two.
	gain int
}

// geometries reads the table of package kernel from its source, since this
// module does not depend on that package. The commands run in _asm.
func geometries() (map[string]geometry, error) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "geometry.go"), nil, 0)
	if err != nil {
		return nil, err
	}
	table := map[string]geometry{}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.VAR {
			continue
		}
		for _, entry := range decl.Specs[0].(*ast.ValueSpec).Values[0].(*ast.CompositeLit).Elts {
			e := entry.(*ast.KeyValueExpr)
			name := e.Key.(*ast.SelectorExpr).Sel.Name
			if table[name], err = readGeometry(e.Value.(*ast.CompositeLit)); err != nil {
				return nil, fmt.Errorf("geometry of %s: %w", name, err)
			}
		}
	}
	return table, nil
}

// readGeometry evaluates an entry of the table.
func readGeometry(entry *ast.CompositeLit) (g geometry, err error) {
	ints := map[string]int{}
	for _, f := range entry.Elts {
		field := f.(*ast.KeyValueExpr)
		name := field.Key.(*ast.Ident).Name
		switch v := field.Value.(type) {
		case *ast.BasicLit:
			ints[name], err = strconv.Atoi(v.Value)
		case *ast.CompositeLit: // the planes
			for i, bits := range v.Elts {
				if g.planes[i], err = strconv.Atoi(bits.(*ast.BasicLit).Value); err != nil {
					return g, err
				}
			}
		case *ast.Ident: // a stream, or true
			s, ok := map[string]stream{"offsetStream": offset, "affineStream": affine, "halvesStream": halves}[v.Name]
			if g.stream = max(g.stream, s); !ok && v.Name != "true" {
				err = fmt.Errorf("unknown value %s", v.Name)
			}
			g.minimum = g.minimum || name == "minimum"
			g.odd = g.odd || name == "odd"
		}
		if err != nil {
			return g, err
		}
	}
	const rows = 16
	g.blocks, g.gain = ints["unit"]/32, 1<<ints["shift"]
	g.quants = 32 * rows / 8 * (g.planes[0] + g.planes[1])
	g.divide = ints["divide"]
	g.header, g.scales = 2*rows*ints["halves"], rows*ints["bytes"]
	if g.blocks == 1 {
		g.header, g.scales = 0, g.header+g.scales
	}
	return g, nil
}
