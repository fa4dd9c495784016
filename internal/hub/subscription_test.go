package hub_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/protocol"
)

func TestRelease(t *testing.T) {
	t.Parallel()
	other := protocol.Position{Epoch: 8, Offset: 100}
	tests := map[string]struct {
		held  []*protocol.Publication // delivered by the flusher during the hold
		after protocol.Position
		later []*protocol.Publication
		want  []string
	}{
		"nothing published, nothing delivered": {after: at(3)},
		"what was held is delivered, then what follows": {
			held:  []*protocol.Publication{pub("a", 1), pub("a", 2)},
			later: []*protocol.Publication{pub("a", 3)},
			want:  lines("a", 1, 3),
		},
		"what the position covers is not delivered": {
			held:  []*protocol.Publication{pub("a", 1), pub("a", 2), pub("a", 3)},
			after: at(2),
			later: []*protocol.Publication{pub("a", 4)},
			want:  lines("a", 3, 4),
		},
		"what arrives late and is covered is not delivered": {
			held:  []*protocol.Publication{pub("a", 1)},
			after: at(3),
			later: []*protocol.Publication{pub("a", 2), pub("a", 3), pub("a", 4), pub("a", 5)},
			want:  lines("a", 4, 5),
		},
		"a position of another epoch covers nothing": {
			held:  []*protocol.Publication{pub("a", 1)},
			after: other,
			later: []*protocol.Publication{pub("a", 2)},
			want:  lines("a", 1, 2),
		},
		"a position of the next epoch still covers what comes of it": {
			after: protocol.Position{Epoch: 8, Offset: 1},
			later: []*protocol.Publication{
				pub("a", 9),
				{Topic: topic("a"), Position: protocol.Position{Epoch: 8, Offset: 1}},
				{Topic: topic("a"), Position: protocol.Position{Epoch: 8, Offset: 2}},
			},
			want: []string{"a/9", "a/2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{Shards: 2})
				p := attach(t, h)
				var sub hub.Subscription
				p.Subscribe(&sub, new(topic("a")))
				for _, pub := range tt.held {
					h.Receive(pub)
				}
				synctest.Wait()
				p.expect(t)
				release(t, &sub, tt.after)
				for _, pub := range tt.later {
					h.Receive(pub)
				}
				synctest.Wait()
				p.expect(t, tt.want...)
			})
		})
	}
}

func TestReleaseWhileTheInboxWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
		p := attach(t, h)
		var sub hub.Subscription
		p.Subscribe(&sub, new(topic("a")))
		receive(h, "a", 1, 5)
		release(t, &sub, at(3))
		run(t, h)
		synctest.Wait()
		p.expect(t, lines("a", 4, 5)...)
	})
}

func TestHeldOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{MaxHeld: 3})
		fits, over := attach(t, h), attach(t, h)
		var fitting, overflowing hub.Subscription
		over.Subscribe(&overflowing, new(topic("a")))
		receive(h, "a", 1, 1)
		synctest.Wait()
		fits.Subscribe(&fitting, new(topic("a")))
		receive(h, "a", 2, 4)
		synctest.Wait()

		release(t, &fitting, at(1))
		fits.expect(t, lines("a", 2, 4)...)
		for range 2 {
			if err := overflowing.Release(at(1)); !errors.Is(err, hub.ErrHeldOverflow) {
				t.Errorf("Release = %v, want ErrHeldOverflow", err)
			}
		}
		receive(h, "a", 5, 5)
		synctest.Wait()
		over.expect(t)

		overflowing.Close()
		over.Subscribe(&overflowing, new(topic("a")))
		receive(h, "a", 6, 6)
		synctest.Wait()
		release(t, &overflowing, at(5))
		over.expect(t, "a/6")
	})
}

func TestExcept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 2})
		sender, other, stranger := attach(t, h), attach(t, h), attach(t, h)
		other.open(t, "a")
		stranger.open(t, "b")
		var held hub.Subscription
		sender.open(t, "a")
		sender.Subscribe(&held, new(topic("b")))
		receiveExcept := func(name string, last uint64, at map[uint64]protocol.SocketID) {
			for o := last - 5; o <= last; o++ {
				p := pub(name, o)
				p.Except = at[o]
				h.Receive(p)
			}
		}

		me, somebody := sender.ID(), stranger.ID()
		receiveExcept("a", 6, map[uint64]protocol.SocketID{1: me, 4: me, 5: somebody, 6: me})
		receiveExcept("b", 6, map[uint64]protocol.SocketID{2: me})
		run(t, h)
		synctest.Wait()
		if got, writes := sender.take(); !equal(got, []string{"a/2", "a/3", "a/5"}) || writes != 1 {
			t.Errorf("sender got %v in %d writes, want 2, 3 and 5 of a in one", got, writes)
		}
		other.expect(t, lines("a", 1, 6)...)
		stranger.expect(t, lines("b", 1, 6)...)
		release(t, &held, protocol.Position{})
		sender.expect(t, "b/1", "b/3", "b/4", "b/5", "b/6")

		receive(h, "a", 7, 7) // the mark does not stay
		synctest.Wait()
		sender.expect(t, "a/7")
		receiveExcept("a", 13, map[uint64]protocol.SocketID{8: me, 13: me})
		synctest.Wait()
		sender.expect(t, lines("a", 9, 12)...)
		other.expect(t, lines("a", 7, 13)...)
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{Codecs: codecs(), Shards: 1})
		p := attach(t, h)
		a, b := p.open(t, "a"), p.open(t, "b")
		receive(h, "a", 1, 1)
		a.Close()
		a.Close()
		release(t, a, protocol.Position{})
		receive(h, "a", 2, 2)
		receive(h, "b", 1, 1)
		run(t, h) // what waited at Close is not delivered either
		synctest.Wait()
		p.expect(t, "b/1")

		p.Subscribe(a, new(topic("c")))
		release(t, a, protocol.Position{})
		receive(h, "a", 3, 3)
		receive(h, "c", 1, 1)
		synctest.Wait()
		p.expect(t, "c/1")

		b.Close()
		a.Close()
		receive(h, "c", 2, 2)
		synctest.Wait()
		p.expect(t)
		new(hub.Subscription).Close()
		release(t, new(hub.Subscription), at(1))
	})
}

func TestSubscribeTwicePanics(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{Codecs: codecs()})
	p := attach(t, h)
	sub := p.open(t, "a")
	defer func() {
		if recover() == nil {
			t.Error("Subscribe of an open subscription did not panic")
		}
		sub.Close() // the lock is free
	}()
	p.Subscribe(sub, new(topic("b")))
}

func TestDetach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 2})
		p, q := attach(t, h), attach(t, h)
		subs := []*hub.Subscription{p.open(t, "a"), p.open(t, "b"), p.open(t, "c")}
		q.open(t, "a")
		subs[1].Close()
		if got := h.Connections(); got != 2 {
			t.Errorf("Connections = %d, want 2", got)
		}
		p.Detach()
		p.Detach()
		if got := h.Connections(); got != 1 {
			t.Errorf("Connections after Detach = %d, want 1", got)
		}
		late := new(hub.Subscription)
		p.Subscribe(late, new(topic("a")))
		release(t, late, protocol.Position{})
		subs[0].Close()
		receive(h, "a", 1, 1)
		receive(h, "c", 1, 1)
		synctest.Wait()
		late.Close()
		p.expect(t)
		q.expect(t, "a/1")
		new(hub.Subscriber).Detach()
	})
}

func TestAttach(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{Codecs: codecs(), Shards: 4})
	first := attach(t, h)
	var second peer
	if h.Attach(&second.Subscriber, &second, protocol.SocketID{}, protocol.VariantPusher) {
		t.Error("Attach took the zero id")
	}
	if h.Attach(&second.Subscriber, &second, first.ID(), protocol.VariantPusher) {
		t.Error("Attach took an id in use")
	}
	first.Detach()
	if !h.Attach(&second.Subscriber, &second, first.ID(), protocol.VariantPusher) {
		t.Error("Attach refused the id of a detached connection")
	}
}
