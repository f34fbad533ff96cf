// Command penstock serves GGUF language models on CPUs. This package is the
// wiring: one small file per subcommand, and the only reader of flags, of the
// environment and of the configuration file. It holds no logic that another
// program could want; that lives in the internal packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/penstock-llm/penstock/internal/hub"
)

// commands is the command line: a field for each subcommand.
type commands struct {
	Serve      serveCommand      `cmd:"" help:"Serve a model over HTTP."`
	Run        runCommand        `cmd:"" help:"Chat with a model in the terminal, or answer one prompt."`
	Pull       pullCommand       `cmd:"" help:"Download a model and verify it."`
	Ps         psCommand         `cmd:"" help:"List the models that a running server has in memory."`
	Load       loadModelCommand  `cmd:"" help:"Have a running server load a model."`
	Stop       stopCommand       `cmd:"" help:"Have a running server unload a model."`
	List       listCommand       `cmd:"" aliases:"ls" help:"List the models on this machine."`
	Show       showCommand       `cmd:"" help:"Show what a model is."`
	Rm         rmCommand         `cmd:"" help:"Remove a downloaded model."`
	Cp         cpCommand         `cmd:"" help:"Give a model a further name, or copy a file into the folder of models."`
	Prune      pruneCommand      `cmd:"" help:"Remove what is left over in the folder of models: given-up downloads, content without a name."`
	Usage      usageCommand      `cmd:"" help:"Show what the holders of API keys have used."`
	Key        keyCommand        `cmd:"" help:"Make, list and remove API keys."`
	Bench      benchCommand      `cmd:"" help:"Measure: layers, load, kernels, steps, compare, report."`
	Tokenize   tokenizeCommand   `cmd:"" help:"Read text on stdin, print its token ids as JSON."`
	Template   templateCommand   `cmd:"" help:"Read messages as JSON on stdin, print the prompt."`
	Perplexity perplexityCommand `cmd:"" help:"Perplexity of a text, and the fast path's distance from the float32 reference."`
	Inspect    inspectCommand    `cmd:"" help:"Show a model file's metadata, tensors and memory fit."`
	Quantize   quantizeCommand   `cmd:"" help:"Convert a model to another weight type, or mix of types."`
	Imatrix    imatrixCommand    `cmd:"" help:"Make an importance matrix from a text, for quantize."`
	Convert    convertCommand    `cmd:"" help:"Write a folder of safetensors as a GGUF file."`
	Top        topCommand        `cmd:"" help:"Show what a running server does."`
	Doctor     doctorCommand     `cmd:"" help:"Show what this machine offers: CPU, kernels, threads, memory."`
	Recommend  recommendCommand  `cmd:"" help:"Say which models of the catalogue fit this machine, and how fast."`
	Settings   configCommand     `cmd:"" name:"config" help:"Check a configuration file."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Completion completionCommand `cmd:"" help:"Completion by the tab key: what a shell needs for it."`
	Complete   completeCommand   `cmd:"" hidden:""`
	Man        manCommand        `cmd:"" help:"Print the manual page."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Models string `help:"Folder of downloaded models." env:"PENSTOCK_MODELS" placeholder:"DIR"`
	CPU    string `help:"Highest kernel tier to use: generic; avx2, avxvnni or avx512vnni; on arm64 dotprod or i8mm." env:"PENSTOCK_CPU" placeholder:"TIER"`
	Config string `help:"Configuration file (YAML)." env:"PENSTOCK_CONFIG" placeholder:"FILE"`
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	dropForeignVariables()
	err := execute(untilSignal(), os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	if _, known := errors.AsType[*loggedError](err); err != nil && !known && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "penstock:", plain(err))
	}
	os.Exit(exitCode(err))
}

// untilSignal returns a context that ends with the first signal, for the command to
// end in good order. Before anybody can see that it has ended, signals do again what
// they do to every program: a second one ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
		select {
		case second := <-signals: // it came before that
			if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(second) != nil {
				os.Exit(130)
			}
		default:
		}
	}()
	return ctx
}

// execute parses the arguments and runs the command that they name.
func execute(ctx context.Context, args []string, term terminal) error {
	p, err := parse(args, term)
	if err != nil {
		return err
	}
	p.context.BindTo(ctx, (*context.Context)(nil))
	return p.context.Run()
}

// parsed is a command line with what the environment and the configuration file
// add to it.
type parsed struct {
	cli     *commands
	context *kong.Context
	config  *config
}

// parse reads the arguments, the environment and the configuration file.
func parse(args []string, term terminal) (*parsed, error) {
	config, err := readConfig(args)
	if err != nil {
		return nil, err
	}
	cli := new(commands)
	parser, err := newParser(cli, config, term)
	if err != nil {
		return nil, err
	}
	if err := config.check(parser.Model); err != nil {
		return nil, err
	}
	if err := checkVariables(parser.Model); err != nil {
		return nil, err
	}
	command, err := parser.Parse(inOurWords(args))
	var wrong *kong.ParseError
	if errors.As(err, &wrong) {
		return nil, misused(wrong)
	}
	if err != nil {
		return nil, err
	}
	p := &parsed{cli, command, config}
	command.Bind(givenArgs(args), p)
	return p, nil
}

// inOurWords is the command line with our flags for what other programs have other words for:
// help is asked for by nothing at all or by the word before the command, the version by -v.
func inOurWords(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case len(args) == 1 && args[0] == "-v": // after a command it is another flag
		return []string{"--version"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	}
	return args
}

// givenArgs are the arguments of the process, for what reads them again.
type givenArgs []string

// newParser makes the parser of the command line, which fills in cli.
func newParser(cli *commands, config *config, term terminal) (*kong.Kong, error) {
	options := append(numberMappers(),
		kong.Name("penstock"),
		kong.Description("An LLM inference server for machines without a GPU."),
		kong.Writers(term.out, term.err),
		kong.Bind(term, cli, config),
		kong.Vars{
			"model_help":    "A .gguf file, a catalogue name (" + strings.Join(catalogueNames(), ", ") + "), hf.co/ORG/REPO[:FILE][@REVISION], registry.ollama.ai/NAME[:TAG], oci://HOST/REPO[:TAG], or a URL.",
			"default_model": config.model(hub.Default),
			"version":       versionLine(),
		},
		kong.Resolvers(config),
	)
	parser, err := kong.New(cli, options...)
	if err == nil {
		nameValues(parser.Model.Node)
	}
	return parser, err
}

// nameValues gives each flag that has no word for its value one that people know, such
// as TIME: help would show a type of the programming language in its place.
func nameValues(n *kong.Node) {
	for _, f := range n.Flags {
		if f.PlaceHolder != "" || f.HasDefault || f.IsBool() {
			continue
		}
		kind := f.Target.Type()
		if kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		switch {
		case f.Name == "model" || f.Name == "url":
			f.PlaceHolder = strings.ToUpper(f.Name)
		case kind == reflect.TypeFor[time.Duration]():
			f.PlaceHolder = "TIME"
		case kind.Kind() == reflect.String:
			f.PlaceHolder = "TEXT"
		case kind.Kind() >= reflect.Int && kind.Kind() <= reflect.Float64:
			f.PlaceHolder = "N"
		}
	}
	for _, c := range n.Children {
		nameValues(c)
	}
}

func catalogueNames() []string {
	names := make([]string, len(hub.Catalogue))
	for i, m := range hub.Catalogue {
		names[i] = m.Name
	}
	return names
}
