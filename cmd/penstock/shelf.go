package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock-llm/penstock/internal/chat"
	"github.com/penstock-llm/penstock/internal/cpu"
	"github.com/penstock-llm/penstock/internal/gguf"
	"github.com/penstock-llm/penstock/internal/gguf/safetensors"
	"github.com/penstock-llm/penstock/internal/hub"
	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/model"
	"github.com/penstock-llm/penstock/internal/nn"
	"github.com/penstock-llm/penstock/internal/server/serving"
	"github.com/penstock-llm/penstock/internal/tokenizer"
)

// shelf is where a server's models come from: the one that it is started with,
// those of the configuration file, and all that were downloaded. All of them use
// the same workers, and have the settings of the command line where they have none
// of their own.
type shelf struct {
	serve   *serveCommand
	store   *hub.Store
	options instance.Options // with the pool
	heap    *instance.Heap
	warn    func(string) // tells the person at the terminal

	mu       sync.Mutex
	named    []*shelved   // the command line's, then the file's
	stored   []hub.Stored // that the store had when it was read last
	defaults samplingFlags
	loaded   map[*serving.Deployment]authors
	users    int // models that use the workers
}

// authors is what the makers of a loaded model recommend.
type authors struct {
	own  samplingFlags // what the file's list of models says of it
	says []gguf.Sampling
}

// newShelf starts the workers that all models share.
func newShelf(c *serveCommand, store *hub.Store, o instance.Options, warn func(string)) *shelf {
	instance.Tune(o.Threads)
	s := &shelf{serve: c, store: store, options: o, heap: instance.NewHeap(), warn: warn, defaults: c.Defaults, loaded: map[*serving.Deployment]authors{}}
	threads := o.Threads
	if threads <= 0 {
		threads = cpu.Threads()
	}
	s.options.Pool, s.options.Untuned = nn.NewPool(threads), true
	return s
}

// close ends the workers, unless a model is left that may use them.
func (s *shelf) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		s.options.Pool.Close()
	}
}

// residency is what the server knows of the shelf.
func (s *shelf) residency(logger *slog.Logger) serving.Residency {
	return serving.Residency{
		List: s.list, Open: s.open, OnDemand: s.serve.LoadOnDemand, KeepAlive: time.Duration(s.serve.KeepAlive),
		Budget: s.options.MemoryLimit, Process: instance.Process, Changed: s.heap.Tune, Log: logger,
	}
}

// reload takes up new defaults of the command line and the file.
func (s *shelf) reload(fresh *serveCommand) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults = fresh.Defaults
	for d, from := range s.loaded {
		flags := from.own.orElse(s.defaults)
		d.SetDefaults(flags.settings(from.says...))
	}
	return nil
}

// first loads the model that the server is started with, and tells progress how far
// it has come. All of the memory is its to plan with.
func (s *shelf) first(m *shelved, progress func(done, total int64)) (*serving.Deployment, error) {
	opened, err := s.openWith(m.source, progress)
	if err != nil {
		return nil, err
	}
	return opened.Load(s.options.MemoryLimit)
}

// shelved is a model that was named, by the command line or the file.
type shelved struct {
	entry  modelEntry
	source serving.Source
}

// add puts a model on the shelf whose file is there.
func (s *shelf) add(e modelEntry, path string) (*shelved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	m := &shelved{entry: e, source: serving.Source{
		ID: e.Name, Aliases: aliases(e.Model, e.Aliases), Path: path, Size: info.Size(), Modified: info.ModTime(),
		Pinned: e.Pinned, KeepAlive: e.keepAlive(),
	}}
	if m.source.ID == "" {
		file, err := safetensors.Open(path)
		if err != nil {
			return nil, err
		}
		m.source.ID = modelID(e.Model, file)
		file.Close()
	}
	if entry, ok := hub.Lookup(e.Model); ok && entry.Name != m.source.ID {
		m.source.Aliases = append(m.source.Aliases, entry.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named = append(s.named, m)
	return m, nil
}

// list lists all models. A file that was named is not listed as a download, too,
// and no two have the same name: the first has it.
func (s *shelf) list() []serving.Source {
	s.mu.Lock()
	named := slices.Clone(s.named)
	s.mu.Unlock()
	var all []serving.Source
	taken := map[string]bool{}
	add := func(m serving.Source) {
		if taken[m.ID] || taken["file "+m.Path] {
			return
		}
		m.Aliases = slices.DeleteFunc(slices.Clone(m.Aliases), func(a string) bool { return a == m.ID || taken[a] })
		for _, name := range append(m.Names(), "file "+m.Path) {
			taken[name] = true
		}
		all = append(all, m)
	}
	for _, m := range named {
		add(m.source)
	}
	for _, m := range s.downloads() {
		add(downloaded(&m))
	}
	return all
}

// downloads are the models of the store. While it cannot be read they are those that it
// had when it was read last: a client that names one is not told that it does not exist.
func (s *shelf) downloads() []hub.Stored {
	stored, err := s.store.List()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.stored = stored
	}
	return s.stored
}

// downloaded is a model of the store. Clients name it as people do; its path is no
// name, for it is none of their business.
func downloaded(m *hub.Stored) serving.Source {
	s := serving.Source{ID: m.Name, Path: m.Path, Size: m.Size, Modified: m.Modified, Digest: m.SHA256}
	if filepath.IsAbs(s.ID) {
		s.ID = filepath.Base(s.ID)
	}
	if entry, ok := hub.Lookup(m.Name); ok {
		s.Aliases = entry.Aliases
	}
	if m.Source != m.Name && !filepath.IsAbs(m.Source) {
		s.Aliases = append(slices.Clone(s.Aliases), m.Source)
	}
	return s
}

// open looks into a model's file.
func (s *shelf) open(source serving.Source) (*serving.Opened, error) { return s.openWith(source, nil) }

func (s *shelf) openWith(source serving.Source, progress func(done, total int64)) (*serving.Opened, error) {
	file, err := safetensors.Open(source.Path)
	if err != nil {
		return nil, plain(err)
	}
	e := s.entryOf(&source)
	o, err := s.optionsOf(&e, file)
	if err != nil {
		return nil, errors.Join(plain(err), file.Close())
	}
	o.Progress = progress
	return &serving.Opened{
		Plan: func(limit uint64) (serving.Memory, bool, error) {
			o.MemoryLimit = limit
			m, err := instance.Estimate(file, o)
			if errors.Is(err, instance.ErrTooLarge) {
				return taken(&m), false, nil
			}
			return taken(&m), err == nil, plain(err)
		},
		Load: func(limit uint64) (*serving.Deployment, error) {
			o.MemoryLimit = limit
			return s.load(&source, &e, file, o)
		},
		Describe: func() (*serving.Deployment, error) {
			words, err := tokenizer.New(file)
			if err != nil {
				return nil, plain(err)
			}
			d, err := s.describe(&source, &e, file, words)
			if err == nil {
				d.Config, err = model.Describe(file)
			}
			return d, plain(err)
		},
		Close: file.Close,
	}, nil
}

// load loads a model, and takes it up among those that use the workers.
func (s *shelf) load(source *serving.Source, e *modelEntry, file *gguf.File, o instance.Options) (*serving.Deployment, error) {
	s.using(1)
	in, err := instance.Load(file, o)
	if err != nil {
		s.using(-1)
		return nil, plain(err)
	}
	d, err := s.describe(source, e, in.File, in.Tokenizer)
	if err != nil {
		err = errors.Join(plain(err), in.Close())
		s.using(-1)
		return nil, err
	}
	fillIn(d, in)
	d.Close = func() error {
		err := in.Close()
		s.mu.Lock()
		delete(s.loaded, d)
		s.mu.Unlock()
		s.using(-1)
		return err
	}
	says := authorsOf(file, e.Model)
	s.mu.Lock()
	s.loaded[d] = authors{own: e.Defaults, says: says}
	flags := e.Defaults.orElse(s.defaults) // there may be new ones since the loading began
	d.SetDefaults(flags.settings(says...))
	s.mu.Unlock()
	if guesses := instance.Guesses(file); guesses != "" {
		s.warn(guesses)
	}
	if problem := d.Chat.Problem(); problem != nil {
		s.warn("chat requests will be refused: " + problem.Error())
	}
	return d, nil
}

// fillIn fills in what is known of a model when it is loaded.
func fillIn(d *serving.Deployment, in *instance.Instance) {
	d.Config, d.Threads, d.Engine, d.Memory, d.Loaded = in.Model.Config(), in.Model.Pool().Workers(), in.Engine, taken(&in.Memory), in.Loaded
	d.PairTemplate, d.CacheBytes, d.CacheSaved = pairTemplate(in.File, d.Config), in.Store.Bytes(), in.Store.Saved()
}

// using notes that a model has begun to use the workers, or ceased to.
func (s *shelf) using(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users += n
}

// describe fills in what is known of a model before it is loaded.
func (s *shelf) describe(source *serving.Source, e *modelEntry, file *gguf.File, words *tokenizer.Tokenizer) (*serving.Deployment, error) {
	template, err := chat.Load(file)
	if err != nil {
		return nil, err
	}
	published := publishedWith(file.Path())
	s.mu.Lock()
	flags := e.Defaults.orElse(s.defaults)
	s.mu.Unlock()
	return &serving.Deployment{
		ID: source.ID, Aliases: source.Aliases, Path: source.Path, Created: source.Modified, CPU: s.options.Tier.String(),
		Tokenizer: words, Chat: template, ParseSpecial: s.serve.ParseSpecial, License: license(file),
		Sampling: flags.settings(authorsOf(file, e.Model)...), Stop: published.Stop, System: published.System,
	}, nil
}

// license is what a model's file says of its licence: a name, with an address where
// it has one.
func license(file *gguf.File) string {
	name, _ := file.Str("general.license")
	if title, ok := file.Str("general.license.name"); ok {
		name = title
	}
	link, _ := file.Str("general.license.link")
	return strings.TrimSpace(name + "\n" + link)
}

// entryOf are a model's settings: its own, or else those of the command line. Its
// sampling defaults are its own only, since the others may change while it is loaded.
func (s *shelf) entryOf(source *serving.Source) modelEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.named {
		if m.source.ID == source.ID {
			return m.entry
		}
	}
	e := s.serve.entry(source.Path)
	e.download = true
	return e
}

// optionsOf are the options that a model is loaded with. The context of the command
// line may be longer than a download allows, which then has its own.
func (s *shelf) optionsOf(e *modelEntry, file *gguf.File) (instance.Options, error) {
	o := e.options(s.options)
	config, err := model.Describe(file)
	if err != nil {
		return o, err
	}
	if o.Context > config.Context && e.download {
		o.Context = 0
	}
	if n := publishedWith(file.Path()).Context; o.Context == 0 && n <= config.Context {
		o.Context = n
	}
	return o, nil
}

// taken is what an instance takes of the memory that all share.
func taken(m *instance.Memory) serving.Memory {
	return serving.Memory{Weights: m.Weights, Cache: m.Cache, Buffers: m.Buffers, Other: m.File + m.Words, Context: m.Context}
}

// pairTemplate is how a reranker is asked.
func pairTemplate(file *gguf.File, config model.Config) string {
	pair, ok := file.Str("tokenizer.chat_template.rerank")
	if !ok && config.Probable {
		return serving.QwenPairTemplate
	}
	return pair
}
