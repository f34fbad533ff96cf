//go:build parity

package jinja

import (
	"os"
	"testing"
)

// TestVendorTemplates compares with Python on the templates that llama.cpp
// ships; testdata/parity.sh fetches them, makes the results and runs this.
func TestVendorTemplates(t *testing.T) {
	sameTemplates(t, os.Getenv("PENSTOCK_TEMPLATES"), os.Getenv("PENSTOCK_TEMPLATES_GOLDEN"))
	noMarkIsLostIn(t, os.Getenv("PENSTOCK_TEMPLATES"))
}
