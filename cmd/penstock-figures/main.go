// Command penstock-figures draws the results of `penstock bench`: figures as SVG and PNG, and a self-contained page. It is a
// program of its own, not a subcommand of penstock, so that the server does not carry a plotting library.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/penstock-llm/penstock/internal/bench/draw"
)

func main() {
	var d draw.Draw
	kong.Parse(&d, kong.Name("penstock-figures"), kong.Description("Draw the results of penstock bench."))
	if err := d.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "penstock-figures:", err)
		os.Exit(1)
	}
}
