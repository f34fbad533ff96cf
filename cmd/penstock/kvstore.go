package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/penstock-llm/penstock/internal/instance"
	"github.com/penstock-llm/penstock/internal/prefixstore"
)

// storeFlags say where the beginnings of prompts outlast the process.
type storeFlags struct {
	KVStore     string   `name:"kv-store" help:"Folder that keeps the cache blocks of prompts, so that they are found again after a restart and when memory had no room for them. It has the tokens of prompts: nobody else should read it." env:"PENSTOCK_KV_STORE" type:"path" placeholder:"DIR"`
	KVStoreSize byteSize `name:"kv-store-size" help:"Most that the folder may have; what was not used for the longest time goes." env:"PENSTOCK_KV_STORE_SIZE" default:"16GiB"`
}

var errNothingToKeep = errors.New("--kv-store keeps what the prefix cache has, and --no-prefix-cache asks for no such cache: give one of both")

// open opens the folder, if one is named, and has instances use it. end closes it; the
// instances are closed before.
func (f *storeFlags) open(o *instance.Options, log *slog.Logger) (end func(), err error) {
	switch {
	case f.KVStore == "":
		return func() {}, nil
	case o.NoPrefix:
		return nil, &usageError{errNothingToKeep, "penstock serve"}
	case f.KVStoreSize == 0:
		return nil, &usageError{errors.New("--kv-store-size 0: the folder could keep nothing"), "penstock serve"}
	}
	store, err := prefixstore.Open(f.KVStore, int64(f.KVStoreSize))
	if err != nil {
		return nil, fmt.Errorf("--kv-store: %w", err)
	}
	o.Prefixes, o.Build = store, version()
	o.OnPrefixError = func(err error) {
		if !errors.Is(err, prefixstore.ErrResting) { // it was said when that began
			log.Warn("what the cache has is not kept: "+err.Error(), "retry", "in a minute")
		}
	}
	return func() {
		if err := store.Close(); err != nil {
			log.Warn("the folder of prefixes did not close", "error", err)
		}
	}, nil
}
