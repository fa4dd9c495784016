package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/millrace/millrace/internal/bench"
	"github.com/millrace/millrace/internal/store/embedded"
	"github.com/millrace/millrace/test/bench/engine"
	"github.com/millrace/millrace/test/bench/floor"
	"github.com/millrace/millrace/test/bench/storm"
)

// floorCmd is the process that a server is compared with.
type floorCmd struct {
	Listen  string `help:"Address." default:"127.0.0.1:6002"`
	Secret  string `help:"Check the signatures of publications with it."`
	Batches bool   `help:"Write once per subscriber and round of the poller."`
}

// Run serves until ctx ends.
func (c *floorCmd) Run(ctx context.Context) error {
	return floor.Run(ctx, floor.Options{Address: c.Listen, Secret: c.Secret, Batches: c.Batches})
}

// crowdCmd is the process that a storm kills.
type crowdCmd struct {
	URL        string `help:"Server." default:"http://127.0.0.1:6001"`
	App        string `help:"App id." default:"app-id"`
	Key        string `help:"App key." default:"app-key"`
	Secret     string `help:"App secret." default:"app-secret"`
	Members    int    `help:"Connections in presence channels." default:"10000"`
	PerChannel int    `help:"Connections in each channel." default:"100"`
	Public     int    `help:"Connections in public channels." default:"5000"`
	SignIn     bool   `help:"Let those in public channels sign in, each as a user of its own."`
}

// Run stays until standard input or ctx ends.
func (c *crowdCmd) Run(ctx context.Context, s streams) error {
	return storm.RunCrowd(ctx, bench.Options{URL: c.URL, App: c.App, Key: c.Key, Secret: c.Secret},
		storm.Options{Members: c.Members, PerChannel: c.PerChannel, Public: c.Public, SignIn: c.SignIn}, s.in, s.out)
}

// engineCmd is the process that a report starts to measure mutations without a network.
type engineCmd struct {
	Entities int    `help:"Entities to begin with." default:"100000"`
	Views    int    `help:"Sorted views over them, up to two." default:"1"`
	Stored   string `help:"Directory to store them in; without it they are in memory only." placeholder:"DIR" type:"path"`
}

// Run takes orders until standard input or ctx ends.
func (c *engineCmd) Run(ctx context.Context, s streams) error {
	o := engine.Options{Entities: c.Entities, Views: c.Views}
	if c.Stored == "" {
		return engine.Run(ctx, o, s.in, s.out)
	}
	return withStore(ctx, c.Stored, s, func(store *embedded.Store) error {
		o.Store = store
		return engine.Run(ctx, o, s.in, s.out)
	})
}

// webhooksCmd is the process that a report starts to measure webhooks.
type webhooksCmd struct {
	Stored string `help:"Directory to store them in." required:"" type:"path"`
	Events int    `help:"How many." default:"100000"`
	Batch  int    `help:"Most events of a request." default:"100"`
}

// Run measures and prints.
func (c *webhooksCmd) Run(ctx context.Context, s streams) error {
	return withStore(ctx, c.Stored, s, func(store *embedded.Store) error {
		return engine.RunWebhooks(ctx, engine.WebhookOptions{Store: store, Events: c.Events, Batch: c.Batch}, s.out)
	})
}

// withStore runs f with the store in a directory.
func withStore(ctx context.Context, dir string, s streams, f func(*embedded.Store) error) error {
	store, err := embedded.Open(ctx, embedded.Options{Path: dir, Log: slog.New(slog.NewTextHandler(s.err, nil))})
	if err != nil {
		return err
	}
	return errors.Join(f(store), store.Close()) //nolint:contextcheck // it closes whatever has ended ctx
}
