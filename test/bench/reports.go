package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/test/bench/report"
)

// measurement is what all reports have in common.
type measurement struct {
	Millrace string `help:"Binary of the server." default:"bin/millrace" type:"path" placeholder:"FILE"`
	Quick    bool   `help:"Do all of it, but little of it: a look at whether it works, whose numbers mean nothing."`
	Commit   string `help:"Commit to name, instead of the one the binary was built from."`
	JSON     bool   `name:"json" help:"Print the whole report as JSON."`
}

// part is a report, or a part of it.
type part func(context.Context, report.Options) (*report.Report, error)

// measure makes a report and prints it. What the caller sets in o stays.
func (c *measurement) measure(ctx context.Context, s streams, makes part, o report.Options) (*report.Report, error) {
	if _, err := os.Stat(c.Millrace); err != nil {
		return nil, fmt.Errorf("the server to measure: %w; make build makes it, --millrace names another", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o.Millrace, o.Bench, o.Commit, o.IsQuick, o.Progress = c.Millrace, self, c.Commit, c.Quick, s.err
	r, err := makes(ctx, o)
	if err != nil {
		return nil, err
	}
	return r, c.print(s.out, r)
}

func (c *measurement) print(w io.Writer, r *report.Report) error {
	if !c.JSON {
		return r.WriteTable(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// check makes a report, prints it and fails if a run was not clean. A bar that is not met is
// printed, and no failure.
func (c *measurement) check(ctx context.Context, s streams, makes part, o report.Options) error {
	r, err := c.measure(ctx, s, makes, o)
	if err == nil && len(r.Faults) > 0 {
		err = fmt.Errorf("%d runs were not clean: %s", len(r.Faults), strings.Join(r.Faults, "; "))
	}
	return err
}

// reportCmd is the page of promised numbers.
type reportCmd struct {
	measurement

	Out string `help:"Page to write." default:"docs/performance.md" type:"path"`
}

// Run measures, writes the page and fails if a run was not clean. A bar that is not met is
// on the page and no failure: the page is for saying so.
func (c *reportCmd) Run(ctx context.Context, s streams) error {
	r, err := c.measure(ctx, s, report.All, report.Options{})
	if err != nil {
		return err
	}
	err = c.write(r)
	if len(r.Faults) > 0 {
		err = errors.Join(err, fmt.Errorf("%d runs were not clean, see %s", len(r.Faults), c.Out))
	}
	return err
}

func (c *reportCmd) write(r *report.Report) (err error) {
	if err := os.MkdirAll(filepath.Dir(c.Out), 0o755); err != nil {
		return err
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteMarkdown(f), f.Close())
}

// viewsCmd is the part of the report about live views.
type viewsCmd struct{ measurement }

// Run measures and prints, and fails if a run was not clean.
func (c *viewsCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Views, report.Options{})
}

// guardsCmd is the part of the report about users, limits, webhooks and storms.
type guardsCmd struct{ measurement }

// Run measures and prints, and fails if a run was not clean.
func (c *guardsCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Guards, report.Options{})
}

// stormCmd is the part of the report about connections that are cut all at once.
type stormCmd struct{ measurement }

// Run measures and prints, and fails if an effect was lost, doubled or left over.
func (c *stormCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Storm, report.Options{})
}

// endingCmd is the part of the report about servers that end under load.
type endingCmd struct{ measurement }

// Run measures and prints, and fails if a round was not clean.
func (c *endingCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Ending, report.Options{})
}

// hostileCmd is the part of the report about hostile connections.
type hostileCmd struct {
	measurement

	Attack string `help:"Only attacks with this in their name." placeholder:"TEXT"`
}

// Run measures and prints.
func (c *hostileCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Hostile, report.Options{Attack: c.Attack})
}

// pairsCmd compares two binaries of the server.
type pairsCmd struct {
	measurement

	Before  string `help:"Binary of the server to compare with." required:"" type:"existingfile" placeholder:"FILE"`
	Contest string `help:"Only contests with this in their name." placeholder:"TEXT"`
}

// Run measures and prints, and fails if a run was not clean.
func (c *pairsCmd) Run(ctx context.Context, s streams) error {
	return c.check(ctx, s, report.Pairs, report.Options{Before: c.Before, Contest: c.Contest})
}
