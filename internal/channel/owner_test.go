package channel_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/bus"
	"github.com/millrace/millrace/internal/bus/bustest"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

const ownerDelay = 2 * time.Millisecond

// farNode is a node whose bus is asked over b.
func farNode(t testing.TB, over func(bus.Bus) bus.Bus) *node {
	n := newNode(t, hub.Options{})
	n.app.Limits.MaxPresenceMembers = 0
	n.Engine = channel.New(n.hub, over(n.local), channel.Options{})
	return n
}

// crowd lets many connections of some users join one channel at once.
func (n *node) crowd(t testing.TB, name string, many, users int) []*quiet {
	all := make([]*quiet, many)
	var joins sync.WaitGroup
	for i := range all {
		all[i] = n.connectQuiet()
		joins.Go(func() {
			m := protocol.Member{UserID: fmt.Sprint("u-", i%users), Info: []byte(`{}`)}
			if err := n.Subscribe(context.Background(), &all[i].Connection, name, m, nil); err != nil {
				t.Error(err)
			}
		})
	}
	joins.Wait()
	return all
}

// TestNobodyWaitsForAnotherOnAFarOwner measures by the clock of the bubble, which stands while
// anything runs: what passes is what is spent waiting for the owner.
func TestNobodyWaitsForAnotherOnAFarOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := farNode(t, func(b bus.Bus) bus.Bus { return bustest.NewSlow(b, ownerDelay, nil) })
		start := time.Now()
		all := n.crowd(t, "presence-x", 300, 300)
		if took := time.Since(start); took > ownerDelay {
			t.Errorf("300 joins at once took %v, want one way to the owner", took)
		}
		start = time.Now()
		for _, c := range all {
			n.Leave(&c.Connection)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("300 leaves took %v, want none to wait", took)
		}
		<-time.After(2 * ownerDelay)
		n.expectEmpty()
	})
}

// BenchmarkFarOwner is the storms on an owner that is 2 ms away. It is for -benchtime=3x.
func BenchmarkFarOwner(b *testing.B) {
	slow := func(b bus.Bus) bus.Bus { return bustest.NewSlow(b, ownerDelay, nil) }
	b.Run("300 joins", func(b *testing.B) {
		n := farNode(b, slow)
		for b.Loop() {
			all := n.crowd(b, "presence-x", 300, 300)
			b.StopTimer()
			for _, c := range all {
				n.Leave(&c.Connection)
			}
			b.StartTimer()
		}
	})
	b.Run("15000 leaves", func(b *testing.B) {
		n := farNode(b, slow)
		for range b.N { // Loop would repeat until so many leaves have taken a second
			b.StopTimer()
			all := n.crowd(b, "presence-x", 15_000, 1000)
			b.StartTimer()
			for _, c := range all {
				n.Leave(&c.Connection)
			}
			for {
				left, err := n.Engine.Channels(context.Background(), n.app, "")
				if err != nil {
					b.Fatal(err)
				}
				if len(left) == 0 {
					break
				}
			}
		}
	})
}

// TestAnOwnerOutOfReach lets clients join, leave, send and publish while the owner fails now and
// then. Each gets a clear answer, and afterwards everything is as the clients believe.
func TestAnOwnerOutOfReach(t *testing.T) {
	t.Parallel()
	for round := range 10 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("round %d, seed %d", round, seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var flaky *bustest.Flaky
				n := farNode(t, func(b bus.Bus) bus.Bus {
					flaky = &bustest.Flaky{Bus: b}
					return bustest.NewSlow(flaky, ownerDelay, nil)
				})
				flakyRound(t, n, flaky, seed)
			})
		})
	}
}

func flakyRound(t *testing.T, n *node, flaky *bustest.Flaky, seed uint64) {
	const actors, users, steps = 10, 4, 60
	channels := []string{"presence-a", "presence-cache-b", "private-c"}
	all := make([]*actor, actors)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = &actor{conn: n.connect(), in: map[string]string{}, views: map[string]*view{}}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range steps {
				all[i].try(t, r, channels[r.IntN(len(channels))], fmt.Sprintf("u-%d", r.IntN(users)))
			}
		})
	}
	wg.Wait()
	flaky.Heal()
	<-time.After(2 * ownerDelay)
	synctest.Wait()
	checkPresence(t, n, all, channels[:2])
	n.publish("private-c", "end", "1")
	for _, a := range all {
		isTold := slices.ContainsFunc(a.take(), func(f frame) bool { return f.Event == "end" })
		if _, isIn := a.in["private-c"]; isIn != isTold {
			t.Errorf("%s is subscribed: %v, and was told: %v", a.ID(), isIn, isTold)
		}
		a.close()
	}
	<-time.After(2 * ownerDelay)
	n.expectEmpty()
}

// try does something that may fail.
func (a *actor) try(t *testing.T, r *rand.Rand, name, user string) {
	_, isIn := a.in[name]
	switch r.IntN(5) {
	case 0:
		ev := channel.Event{Channel: name, Name: "tick", Data: jsonscan.AppendString(nil, "x")}
		err := a.n.Publish(context.Background(), a.n.app, []channel.Event{ev})
		if err != nil && !errors.Is(err, bus.ErrUnavailable) && !errors.Is(err, bus.ErrUncertain) {
			t.Errorf("publish: %v", err)
		}
	case 1:
		if !isIn {
			return
		}
		if err := a.send(name, "client-a", `1`); err != nil && (err.Code != protocol.ErrClientEvent.Code || err.Message == "") {
			t.Errorf("client event: %v", err)
		}
	case 2:
		a.unsubscribe(name)
		delete(a.in, name)
		a.drain(t)
		delete(a.views, name)
	default:
		if isIn && name == "presence-a" {
			return // a repeated subscribe may bring events that the list has already
		}
		if isIn {
			user = a.in[name]
		}
		err := a.join(name, user, "")
		switch {
		case err == nil:
			a.in[name] = user
		case err.Type != protocol.TypeServer || err.Message == "":
			t.Errorf("join: %v", err)
		case !isIn:
			a.drain(t)
			delete(a.views, name)
		}
		if isIn && !a.IsSubscribed(name) {
			t.Errorf("a repeated subscribe that failed (%v) has ended the subscription", err)
		}
	}
}
