package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"
	xterm "golang.org/x/term"
)

// reloading takes up new settings in a running server, on SIGHUP. There is one,
// which serve makes; the parts of the server register what they can take up:
//
//	reloads.register(reloadable{
//		what:  "the API keys",
//		flags: []string{"api-key-file"},
//		apply: func(c *serveCommand) error { … read c.APIKeyFile, check it, swap … },
//	})
//
// The field of such a flag has the tag reload:"", which docs/configuration.md is
// made from; TestReload holds the tags against what is registered. A setting whose
// new value no part takes up is named in the log: it needs a restart. Whoever watches files calls reload when one of them has changed.
type reloading struct {
	args    []string      // the command line, which stays
	started *kong.Context // the settings that the server began with
	models  []any         // the list of models that it began with
	term    terminal
	log     *slog.Logger

	mu    sync.Mutex // one reload at a time
	parts []reloadable
}

// reloadable is a part of a running server that takes up new settings.
type reloadable struct {
	what  string   // for the log
	flags []string // whose new values it takes up

	// apply takes up the settings of c, and reads the files again that c names: it is
	// called at every reload, whether or not a flag has changed. It runs on the
	// goroutine of the reload. After an error everything is as it was.
	apply func(c *serveCommand) error
}

// register adds a part. It may be called at any time.
func (r *reloading) register(p reloadable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, p)
}

// watch reloads whenever the process gets SIGHUP, until ctx ends. A server that was
// started in a terminal gets that signal, too, when the terminal is closed, and ends
// then: hangUp is called.
func (r *reloading) watch(ctx context.Context, hangUp func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	input, _ := r.term.in.(*os.File)
	attached := input != nil && xterm.IsTerminal(int(input.Fd()))
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if attached && !xterm.IsTerminal(int(input.Fd())) {
				hangUp()
				return
			}
			r.reload()
		}
	}()
}

// reload reads the configuration file again and has every part take up what is its
// own. A file with an error changes nothing.
func (r *reloading) reload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, err := parse(r.args, r.term)
	if err != nil {
		r.log.Error("settings were not reloaded", "error", plain(err))
		return
	}
	taken := map[string]bool{}
	var done []string
	for _, p := range r.parts {
		for _, name := range p.flags {
			taken[name] = true
		}
		if err := p.apply(&fresh.cli.Serve); err != nil {
			r.log.Error("not reloaded: "+p.what, "error", plain(err))
			continue
		}
		done = append(done, fmt.Sprintf("%s (%s)", p.what, strings.Join(p.flags, ", ")))
	}
	for _, c := range changed(r.started, fresh.context) {
		if !taken[c.name] {
			r.log.Warn("a setting needs a restart", "setting", c.name, "in_force", c.before, "configured", c.after)
		}
	}
	if !reflect.DeepEqual(r.models, fresh.config.models) {
		r.log.Warn("a setting needs a restart", "setting", "models")
	}
	slices.Sort(done)
	fmt.Fprintf(r.term.err, "penstock: reloaded: %s\n", strings.Join(slices.Compact(done), "; "))
}

// settle waits for a reload that is under way.
func (r *reloading) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
}

// change is a setting that has another value than before.
type change struct{ name, before, after string }

// changed lists the flags and arguments of two runs of one command that differ.
func changed(before, after *kong.Context) (list []change) {
	was := map[string]reflect.Value{}
	for _, v := range settingsOf(before) {
		was[v.Name] = v.Target
	}
	for _, v := range settingsOf(after) {
		old, ok := was[v.Name]
		if ok && !reflect.DeepEqual(old.Interface(), v.Target.Interface()) {
			list = append(list, change{v.Name, settingText(old), settingText(v.Target)})
		}
	}
	return list
}

// settingsOf are the flags and arguments of the command that was parsed.
func settingsOf(c *kong.Context) (list []*kong.Value) {
	for _, f := range c.Flags() {
		if !slices.Contains(notKeys, f.Name) {
			list = append(list, f.Value)
		}
	}
	if node := c.Selected(); node != nil {
		list = append(list, node.Positional...)
	}
	return list
}

// settingText is a value as the configuration file would have it; "" if it is not set.
func settingText(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice {
		var items []string
		for i := range v.Len() {
			items = append(items, settingText(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// reloadSettings registers what needs no more than the new value.
func (c *serveCommand) reloadSettings(f *front, level *slog.LevelVar) {
	f.reloads.register(reloadable{what: "the log level", flags: []string{"log-level"}, apply: func(fresh *serveCommand) error {
		return level.UnmarshalText([]byte(fresh.LogLevel))
	}})
	f.reloads.register(reloadable{what: "time limits", flags: []string{"request-timeout", "drain-timeout"}, apply: func(fresh *serveCommand) error {
		f.server.SetRequestTimeout(fresh.RequestTimeout)
		f.drainTimeout.Store(int64(fresh.DrainTimeout))
		return nil
	}})
}
