package results

import (
	"fmt"
	"io"
)

// Say writes a line about how far a command is. A nil w means that nobody wants to know.
func Say(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format+"\n", args...)
	}
}
