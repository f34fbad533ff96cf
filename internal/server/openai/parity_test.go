//go:build parity

package openai

import (
	"os"
	"testing"
)

// TestVendorConversations compares with Python on the templates that llama.cpp
// ships; parity.sh of package jinja fetches them, makes the results and runs this.
func TestVendorConversations(t *testing.T) {
	sameConversations(t, os.Getenv("PENSTOCK_TEMPLATES"), os.Getenv("PENSTOCK_TEMPLATES_GOLDEN"))
}
