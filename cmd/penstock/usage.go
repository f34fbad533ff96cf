package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/penstock-llm/penstock/internal/access"
)

// usageCommand shows what keys have used. It may run beside the server.
type usageCommand struct {
	keyFile   `embed:""`
	UsageFile string `help:"File where the server keeps it, as for penstock serve." env:"PENSTOCK_USAGE_FILE" type:"path" placeholder:"FILE"`
	Since     string `help:"Days to show: a month such as 2026-11, a day, a year, or all." default:"" placeholder:"MONTH"`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// usageFile is where usage is kept: a file of its own, or one beside the keys.
func usageFile(own, keys string) string {
	if own != "" {
		return own
	}
	return keys + ".usage"
}

var period = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2})?)?$`)

func (c *usageCommand) Run(term terminal) error {
	if c.APIKeyFile == "" && c.UsageFile == "" {
		return &usageError{errors.New("which file? say --api-key-file FILE, as for penstock serve"), "penstock usage"}
	}
	since := c.Since
	switch {
	case since == "":
		since = time.Now().UTC().Format("2006-01")
	case since == "all":
		since = ""
	case !period.MatchString(since):
		return &usageError{fmt.Errorf("--since %s: want a month such as 2026-11, a day, a year, or all", clip(since)), "penstock usage"}
	}
	path := usageFile(c.UsageFile, c.APIKeyFile)
	days, err := access.ReadLedger(path, since)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no such file: a server makes it when its first key is used", path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.JSON {
		if days == nil {
			days = []access.DayUse{}
		}
		return json.NewEncoder(term.out).Encode(days)
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "DAY\tKEY\tREQUESTS\tPROMPT\tCACHED\tCOMPLETION\t")
	var sum access.Use
	for _, d := range days {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t\n", d.Day, d.Key, d.Requests, d.Prompt, d.Cached, d.Completion)
		sum.Add(d.Use)
	}
	fmt.Fprintf(table, "\tall\t%d\t%d\t%d\t%d\t\n", sum.Requests, sum.Prompt, sum.Cached, sum.Completion)
	return table.Flush()
}

// savesEvery is how long usage is kept in memory only.
const savesEvery = 10 * time.Second

// keepBooks writes usage to its file now and then, until ctx ends.
func (g *guard) keepBooks(ctx context.Context, log *slog.Logger) {
	if g.ledger == nil {
		return
	}
	g.save(log)
	go func() {
		tick := time.NewTicker(savesEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				g.save(log)
			}
		}
	}()
}

// save writes usage to its file. Trouble is logged when it begins and when it ends.
func (g *guard) save(log *slog.Logger) {
	if g.ledger == nil {
		return
	}
	switch changed, err := g.ledger.Save(time.Now()); {
	case changed && err != nil:
		log.Warn("usage of keys is counted in memory until its file can be written: quotas begin anew with a restart",
			"file", g.usage, "error", err)
	case changed:
		log.Warn("usage of keys is written again")
	}
}
