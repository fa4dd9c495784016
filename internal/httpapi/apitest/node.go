// Package apitest boots the HTTP API on real engines, a real hub and a real bus, without sockets, for
// the tests of package httpapi and of its children.
package apitest

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/bus/local"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/definition"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/httpapi"
	"github.com/millrace/millrace/internal/httpapi/channels"
	"github.com/millrace/millrace/internal/httpapi/operators"
	"github.com/millrace/millrace/internal/httpapi/views"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/protocol/pusher"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/view"
	"github.com/millrace/millrace/internal/webhook/outbox"
)

// Node is the API with what stands behind it. Its app is 77; 78 is another one, and 79 is disabled.
type Node struct {
	T      testing.TB
	App    *app.App
	Hub    *hub.Hub
	Engine *channel.Engine
	Bus    *local.Bus
	API    http.Handler

	Entities *entity.State
	Owner    *owner.Owner // of Entities
	Views    *view.Engine
	Catalog  *definition.Catalog // of Views
	Sessions *token.Revocations
	Webhooks *outbox.Outbox
	Open     *Connections
}

// Options has the options of every part of the API. Routes and Node are made from the parts.
type Options struct {
	httpapi.Options
	Channels  channels.Options
	Views     views.Options
	Operators operators.Options
	Up        operators.NodeOptions
}

// Change changes the app of a node and its options before the node is made.
type Change = func(a *app.App, o *Options)

// App is the app of a node that is not changed.
func App() *app.App {
	return &app.App{ID: "77", Key: "mill-key", Secret: "mill-secret", Enabled: true, Limits: app.DefaultLimits()}
}

// In runs test within a synctest bubble, on a node that change, unless it is nil, has changed.
func In(t *testing.T, change Change, test func(n *Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(New(t, change)) })
}

// New makes a node, which ends with the test.
func New(t testing.TB, change Change) *Node {
	t.Helper()
	n := &Node{T: t, App: App()}
	n.Hub = hub.New(hub.Options{Codecs: [protocol.NumVariants]protocol.Codec{protocol.VariantPusher: pusher.Codec{}}})
	n.Bus = local.New(n.Hub, local.Options{})
	n.Engine = channel.New(n.Hub, bustest.Wrap(t, n.Bus), channel.Options{})
	n.Entities = entity.NewState(nil)
	n.Owner = owner.New(n.Entities, owner.Options{})
	n.Views = view.New(n.Entities, n.Hub, local.NewOrder(n.Hub), view.Options{})
	n.Catalog = definition.NewCatalog(n.Views, definition.Options{})
	n.Sessions = token.NewRevocations(token.RevocationOptions{})
	n.Webhooks, n.Open = outbox.New(outbox.Options{Apps: theApp{n.App}, Transport: teapot{}}), &Connections{}
	o := Options{
		Options:   httpapi.Options{Admin: app.Credential{Key: "admin-key", Secret: "admin-secret"}},
		Channels:  channels.Options{Publisher: n.Engine, Reader: n.Engine},
		Views:     views.Options{Entities: n.Owner, Views: n.Views, Definitions: n.Catalog, Revocations: n.Sessions},
		Operators: operators.Options{Webhooks: n.Webhooks, Connections: n.Open},
	}
	if change != nil {
		change(n.App, &o)
	}
	o.complete(t, n.App)
	n.API = httpapi.New(o.Options)
	n.run()
	return n
}

// complete makes the apps and the routes, and gives every part what they share.
func (o *Options) complete(t testing.TB, a *app.App) {
	t.Helper()
	if o.Apps == nil {
		other := App()
		other.ID, other.Key = "78", "other-key"
		off := App()
		off.ID, off.Key, off.Enabled = "79", "off-key", false
		apps, err := app.NewStatic([]*app.App{a, other, off})
		if err != nil {
			t.Fatal(err)
		}
		o.Apps = apps
	}
	o.Channels.Log, o.Views.Log, o.Operators.Log, o.Channels.Metrics = o.Log, o.Log, o.Log, o.Metrics
	o.Views.Answers, o.Up.Apps = o.Bodies, o.Apps
	o.Routes = slices.Concat(channels.Routes(o.Channels), views.Routes(o.Views), operators.Routes(o.Operators))
	o.Node = operators.NewNode(o.Up)
}

// run starts the engines until the test ends.
func (n *Node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.Hub.Run(ctx) })
	wg.Go(func() { _ = n.Owner.Run(ctx, n.Views) })
	wg.Go(func() { _ = n.Webhooks.Run(ctx) })
	n.T.Cleanup(func() {
		if err := n.Bus.Shutdown(context.Background()); err != nil {
			n.T.Errorf("shutdown: %v", err)
		}
		cancel()
		wg.Wait()
	})
}
