package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints what a shell needs to complete words of this program.
type completionCommand struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// completionScripts tell each shell to run `penstock complete`, with the line so far
// in the variable that bash uses for it.
var completionScripts = map[string]string{
	"bash": "complete -o default -o bashdefault -C 'penstock complete' penstock\n",
	"zsh":  "autoload -U +X bashcompinit && bashcompinit\ncomplete -o default -C 'penstock complete' penstock\n",
	"fish": "complete -c penstock -a '(COMP_LINE=(commandline -cp) penstock complete)'\n",
}

func (c *completionCommand) Help() string {
	return "Put the output into the shell's settings: for bash, `source <(penstock completion bash)` into ~/.bashrc."
}

func (c *completionCommand) Run(term terminal) error {
	_, err := fmt.Fprint(term.out, completionScripts[c.Shell])
	return err
}

// completeCommand answers a shell's question about what the last word of a line may
// become. bash adds three arguments: the program, the word and the one before it. Its
// words end at colons, so it must get no more than what follows the last one.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeCommand) Run(parsed *kong.Context, cli *commands, term terminal) error {
	line, ok := os.LookupEnv("COMP_LINE")
	if !ok {
		return errors.New("this command is for shells: see `penstock completion --help`")
	}
	before := ""
	if len(c.Words) > 1 {
		before, _ = strings.CutSuffix(lastWord(line), c.Words[1])
	}
	for _, word := range completions(parsed.Model, line, cli.knownNames) {
		if _, err := fmt.Fprintln(term.out, strings.TrimPrefix(word, before)); err != nil {
			return err
		}
	}
	return nil
}

// place is where a command line goes on.
type place struct {
	node       *kong.Node   // the command so far
	flags      []*kong.Flag // that can be given
	open       *kong.Flag   // waits for its value, or nil
	positional int          // arguments that were given
}

// completions are the words that the last word of a line may become: commands,
// flags, values of a flag, or names of models.
func completions(app *kong.Application, line string, models func() []string) []string {
	words := strings.Fields(line[:strings.LastIndexByte(line, ' ')+1])
	p := place{node: app.Node, flags: app.Flags}
	for _, word := range words[min(1, len(words)):] {
		p.take(word)
	}
	last := lastWord(line)
	all := slices.DeleteFunc(p.candidates(last, models), func(w string) bool { return !strings.HasPrefix(w, last) })
	slices.Sort(all)
	return all
}

// lastWord is the unfinished word of a line, "" where a new one begins.
func lastWord(line string) string { return line[strings.LastIndexByte(line, ' ')+1:] }

// take goes on by a word.
func (p *place) take(word string) {
	if p.open != nil {
		p.open = nil
		return
	}
	if strings.HasPrefix(word, "-") {
		p.open = takesValue(p.flags, word)
		return
	}
	i := slices.IndexFunc(p.node.Children, func(n *kong.Node) bool { return n.Name == word || slices.Contains(n.Aliases, word) })
	if i < 0 {
		p.positional++
		return
	}
	p.node = p.node.Children[i]
	p.flags = append(slices.Clone(p.flags), p.node.Flags...)
}

// candidates are the words that can stand here; last is what there is of the word.
func (p *place) candidates(last string, models func() []string) []string {
	var all []string
	switch {
	case p.open != nil:
		return valuesOf(p.open)
	case strings.HasPrefix(last, "-"):
		for _, f := range p.flags {
			if !f.Hidden {
				all = append(all, "--"+f.Name)
			}
		}
	case len(p.node.Children) > 0:
		for _, child := range p.node.Children {
			if !child.Hidden {
				all = append(all, child.Name)
			}
		}
	case p.positional < len(p.node.Positional) && strings.HasPrefix(p.node.Positional[p.positional].Name, "model"):
		return models()
	}
	return all
}

// takesValue returns the flag that a word names if its value is the next word.
func takesValue(flags []*kong.Flag, word string) *kong.Flag {
	for _, f := range flags {
		if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
			if f.IsBool() || f.IsCounter() {
				return nil
			}
			return f
		}
	}
	return nil
}

// valuesOf are the values that a flag can have, if they are few.
func valuesOf(f *kong.Flag) []string {
	values := cmp.Or(f.Enum, f.Tag.Get("values"))
	if values == "" {
		return nil
	}
	return strings.Split(values, ",")
}

// knownNames are the names of the catalogue, and of the models on this machine.
func (cli *commands) knownNames() []string {
	names := catalogueNames()
	files, err := cli.store(nil).List()
	if err != nil { // whoever completes a word cannot be told
		return names
	}
	for _, f := range files {
		if !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}
