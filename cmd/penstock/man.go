package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// manCommand prints the manual page, made from the same description of commands and
// flags as --help. Pages of every command are in one, as people search in it.
type manCommand struct{}

func (manCommand) Run(parsed *kong.Context, term terminal) error {
	out := bufio.NewWriter(term.out)
	writeManual(out, parsed.Model)
	return out.Flush()
}

// writeManual writes a page in the man macros of roff.
func writeManual(w io.Writer, app *kong.Application) {
	fmt.Fprintf(w, ".TH %s 1\n.nh\n.ad l\n.SH NAME\n%s \\- %s\n", strings.ToUpper(app.Name), app.Name, roff(app.Help))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n.I command\n.RI [ flags ]\n", app.Name)
	fmt.Fprint(w, ".SH FLAGS OF EVERY COMMAND\n")
	writeFlags(w, app.Flags)
	fmt.Fprint(w, ".SH COMMANDS\n")
	for _, command := range app.Leaves(true) {
		fmt.Fprintf(w, ".SS %s\n%s\n", roff(command.Summary()), roff(command.Help))
		if command.Detail != "" {
			fmt.Fprintf(w, ".PP\n%s\n", roff(command.Detail))
		}
		for _, a := range command.Positional {
			fmt.Fprintf(w, ".TP\n.I %s\n%s\n", roff(a.Name), roff(a.Help))
		}
		writeFlags(w, command.Flags)
	}
	fmt.Fprint(w, ".SH ENVIRONMENT\nA flag that names a variable is set by it, too; what is on the command line counts more.\n")
	fmt.Fprint(w, ".SH EXIT STATUS\n0 if all went well, 1 if the work failed, 2 if the command line, the environment or the configuration file was wrong, 130 after an interrupt.\n")
}

func writeFlags(w io.Writer, flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(f.String()), roff(f.Help))
		if len(f.Envs) > 0 {
			fmt.Fprintf(w, ".RB ( $%s )\n", strings.Join(f.Envs, ", $"))
		}
	}
}

// roff writes a text so that none of it is taken for a command of roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(strings.TrimSpace(text))
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
