package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

// prefix is what the names of all variables of this program begin with.
const prefix = "PENSTOCK_"

// forTests are the variables that the project's tests read. A test that starts this
// program passes them on to it.
var forTests = []string{"PENSTOCK_FLAGSHIP", "PENSTOCK_TEMPLATES", "PENSTOCK_TEMPLATES_GOLDEN"}

// ofService matches the variables that Kubernetes sets in every container next
// to a service called penstock or penstock-…, such as PENSTOCK_SERVICE_HOST.
// PENSTOCK_PORT is one of them too, with a value like tcp://10.0.0.1:80.
var ofService = regexp.MustCompile(`^PENSTOCK_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
var serviceAddress = regexp.MustCompile(`^(tcp|udp|sctp)://`)

// dropForeignVariables removes the variables that set nothing: empty ones, which
// the templates of containers leave behind, and those of Kubernetes.
func dropForeignVariables() {
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if value == "" || ofService.MatchString(name) || strings.HasSuffix(name, "_PORT") && serviceAddress.MatchString(value) {
			os.Unsetenv(name)
		}
	}
}

// checkVariables refuses a variable that no flag reads: it is most likely a
// misspelt one, which would otherwise have no effect and no message.
func checkVariables(app *kong.Application) error {
	known := slices.Clone(forTests)
	visit := func(values []*kong.Value) {
		for _, v := range values {
			known = append(known, v.Tag.Envs...)
		}
	}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, flag := range n.Flags {
			visit([]*kong.Value{flag.Value})
		}
		visit(n.Positional)
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(app.Node)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) {
			return &usageError{fmt.Errorf("unknown variable %s in the environment%s: unset it, or name it after a flag",
				clip(name), suggest(name, known)), "penstock serve"}
		}
	}
	return nil
}

// variable is the name of the environment variable that sets a flag or argument.
func variable(v *kong.Value) (name string, set bool) {
	for _, name := range v.Tag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name, true
		}
	}
	return "", false
}

// suggest is " (do you mean …?)" with the known word that is nearest to a wrong
// one, or nothing if none is near.
func suggest(word string, known []string) string {
	best, distance := "", 1+len(word)/3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, k); d < distance || d == distance && best != "" && k < best {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (do you mean %s?)", best)
}

// clip shortens what somebody typed, for a message.
func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
