package hub_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/missed"
)

func TestALagIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1, MaxLagBytes: 1000})
		p := attach(t, h)
		p.congest(true)
		var few, many, unknown hub.Subscription
		for name, sub := range map[string]*hub.Subscription{"few": &few, "many": &many, "unknown": &unknown} {
			p.Follow(sub, new(topic(name)))
			release(t, sub, at(0))
		}
		const key = "a key that is repeated takes its room once"
		for o := range uint64(1000) {
			h.Receive(change("few", o+1, key))
		}
		for o := range uint64(1000) {
			h.Receive(change("many", o+1, strconv.FormatUint(o, 10)))
		}
		receive(h, "unknown", 1, 1)
		synctest.Wait()
		expectLag(t, &few, &missed.Lag{From: 10, To: 10_000, Keys: map[string]struct{}{key: {}}})
		expectLag(t, &many, &missed.Lag{From: 10, To: 10_000, IsOverflow: true})
		expectLag(t, &unknown, &missed.Lag{IsOverflow: true})
	})
}

func TestKeysAreNotedOnlyForThoseWhoNeedThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, hub.Options{Shards: 1, MaxHeld: 2, MaxOwnLag: 400})
		p := attach(t, h)
		var state, held, window hub.Subscription
		p.FollowWithoutKeys(&state, new(topic("state")))
		p.FollowWithoutKeys(&held, new(topic("held")))
		p.Follow(&window, new(topic("window")))
		release(t, &state, at(0))
		release(t, &window, at(0))
		changes(h, "state", 1, 1)
		synctest.Wait()
		p.expect(t, "state/1")
		p.congest(true)
		changes(h, "state", 2, 50)
		changes(h, "held", 1, 50)
		changes(h, "window", 1, 1) // for which nothing else took the room
		synctest.Wait()
		if err := held.Release(at(3)); !errors.Is(err, hub.ErrLagging) {
			t.Errorf("Release = %v, want %v", err, hub.ErrLagging)
		}
		expectLag(t, &state, &missed.Lag{From: 20, To: 500, IsOverflow: true})
		expectLag(t, &held, &missed.Lag{From: 10, To: 500, IsOverflow: true})
		expectLag(t, &window, lag(1, 1))
	})
}

// TestTheLagsOfAConnectionAreBoundedTogether has room for 2000 bytes of keys, of which each
// counts 100 and the first of a subscription 256 more. Keys are given as "topic:number of them".
func TestTheLagsOfAConnectionAreBoundedTogether(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		missed   string // steps: what is published, or "-topic" for one that is closed and followed again
		overflow string
	}{
		"all that fits is noted":                                 {missed: "a:5 b:5 c:2"},
		"one that does not fit overflows, and no other":          {missed: "a:5 b:5 c:3", overflow: "c"},
		"one that grows is the one that overflows":               {missed: "a:5 b:5 c:2 a:6", overflow: "a"},
		"what is missed once more needs no room":                 {missed: "a:5 b:5 c:2 a:5 c:2"},
		"what overflows makes room":                              {missed: "a:5 b:5 c:3 d:2", overflow: "c"},
		"what overflows stays so":                                {missed: "a:5 b:5 c:3 -a c:1", overflow: "c"},
		"a subscription that is closed makes room":               {missed: "a:5 b:5 -a c:5"},
		"a subscription has a bound of its own":                  {missed: "a:11", overflow: "a"},
		"without room even one key is too much":                  {missed: "a:10 b:4 c:1", overflow: "c"},
		"room is not used up by those that come and go for long": {missed: "a:9 -a a:9 -a a:9 -a a:9 b:4"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := start(t, hub.Options{Shards: 1, MaxLagBytes: 1000, MaxOwnLag: 2000})
				p, other := attach(t, h), attach(t, h)
				subs := map[string]*hub.Subscription{}
				for _, name := range []string{"a", "b", "c", "d"} {
					subs[name] = new(hub.Subscription)
					p.Follow(subs[name], new(topic(name)))
					release(t, subs[name], at(0))
				}
				p.congest(true)
				other.congest(true)
				var sub hub.Subscription
				other.Follow(&sub, new(topic("a"))) // takes nothing of the room
				release(t, &sub, at(0))
				offset := uint64(0)
				for step := range strings.FieldsSeq(tt.missed) {
					if name, isClosed := strings.CutPrefix(step, "-"); isClosed {
						subs[name].Close()
						p.Follow(subs[name], new(topic(name)))
						release(t, subs[name], at(offset))
						continue
					}
					name, count, _ := strings.Cut(step, ":")
					n, _ := strconv.Atoi(count)
					for i := range n {
						offset++
						h.Receive(change(name, offset, fmt.Sprintf("%052d", i)))
					}
					synctest.Wait()
				}
				var overflow []string
				for _, name := range []string{"a", "b", "c", "d"} {
					if lag, _ := subs[name].Lag(); lag.IsOverflow {
						overflow = append(overflow, name)
					}
				}
				if got := strings.Join(overflow, " "); got != tt.overflow {
					t.Errorf("%q overflow, want %q", got, tt.overflow)
				}
			})
		})
	}
}
