package view_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/hub"
)

// ranked is a view of which each window below has one row.
const ranked = `{"id":"T/ranked","source":"T/list","sort":[{"field":"rank"}]}`

// parts is a node with connections that have a window of one row each, and a group of changes that
// concerns all of them and is under way: its publications wait for a hub that does not deliver yet.
type parts struct {
	*node
	conns   []*conn
	waiting *conn // for the snapshot of the last of these windows, until it is given room
	group   sync.WaitGroup
}

const windowsInParts = publishedFirst + 6

// publishedFirst is how many of them have been published when the group pauses.
const publishedFirst = 64

// lastWindow is the one that is not published yet while a group is under way.
var lastWindow = fmt.Sprintf("T/ranked take=1 skip=%d", windowsInParts-1)

func inParts(t *testing.T, test func(t *testing.T, p *parts)) {
	t.Helper()
	inNodeWith(t, setup{isIdle: true, hub: hub.Options{MaxInboxBytes: 1, Shards: 1}}, func(t *testing.T, n *node) {
		p := &parts{node: n}
		n.define(ranked)
		for i := range windowsInParts + 1 {
			n.apply(fmt.Sprintf(`T k%d patch {"rank":%d}`, i, i))
		}
		for i := range windowsInParts {
			c := n.connect()
			c.subscribe(fmt.Sprintf("T/ranked take=1 skip=%d", i))
			c.take()
			p.conns = append(p.conns, c)
		}
		p.waiting = n.connect()
		p.waiting.give(0)
		p.waiting.subscribe(lastWindow)
		p.group.Go(func() { n.apply(`T k0 patch {"rank":100}`) })
		synctest.Wait()
		test(t, p)
	})
}

// finish lets the hub deliver until the group is over.
func (p *parts) finish() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.hub.Run(ctx) })
	p.group.Wait()
	synctest.Wait()
	return func() {
		cancel()
		running.Wait()
	}
}

// moved are the frames of the window at a rank when the first row becomes the last.
func moved(rank int) []string {
	return []string{
		fmt.Sprintf("delete T/ranked k%d", rank),
		fmt.Sprintf(`upsert T/ranked k%d {"rank":%d}`, rank+1, rank+1),
	}
}

func (p *parts) expectMoved(t *testing.T, first, last int) {
	t.Helper()
	for i := first; i < last; i++ {
		if diff := cmp.Diff(moved(i), p.conns[i].take()); diff != "" {
			t.Errorf("window %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestAGroupForManyWindowsIsPublishedInParts(t *testing.T) {
	t.Parallel()
	inParts(t, func(t *testing.T, p *parts) {
		one := p.hub.Inboxes().Used()
		if one == 0 {
			t.Error("nothing of the group waits for the hub")
		}
		synctest.Wait()
		if got := p.hub.Inboxes().Used(); got != one {
			t.Errorf("%d bytes wait, then %d: want no more until they are delivered", one, got)
		}
		defer p.finish()()
		p.expectMoved(t, 0, windowsInParts)
	})
}

func TestAGroupGoesOnWithoutFlushers(t *testing.T) {
	t.Parallel()
	inParts(t, func(t *testing.T, p *parts) {
		one, start := p.hub.Inboxes().Used()/publishedFirst, time.Now()
		p.group.Wait()
		if got, took := p.hub.Inboxes().Used(), time.Since(start); got < windowsInParts*one || took > 50*time.Millisecond {
			t.Errorf("after %v %d bytes wait for a hub that does not run, want those of %d windows", took, got, windowsInParts)
		}
		defer p.finish()()
		p.expectMoved(t, 0, windowsInParts)
	})
}

// A node that ends while a group pauses ends at once, and all of the group is on its way to the hub.
func TestANodeEndsWhileAGroupPauses(t *testing.T) {
	t.Parallel()
	inParts(t, func(t *testing.T, p *parts) {
		one, start := p.hub.Inboxes().Used()/publishedFirst, time.Now()
		p.stop()
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("it ended after %v", took)
		}
		if got := p.hub.Inboxes().Used(); got < windowsInParts*one {
			t.Errorf("%d bytes wait for the hub, want those of %d windows", got, windowsInParts)
		}
		defer p.finish()()
		p.expectMoved(t, 0, windowsInParts)
	})
}

// A hub that has ended takes nothing, so no group waits for it.
func TestNoGroupPausesForAHubThatHasEnded(t *testing.T) {
	t.Parallel()
	inParts(t, func(t *testing.T, p *parts) {
		p.finish()()
		start := time.Now()
		p.apply(`T k1 patch {"rank":101}`)
		if took := time.Since(start); took > 0 {
			t.Errorf("a group took %v", took)
		}
	})
}

// Between two parts of a group the state is the one after it, and each window is as it was before or as
// it is afterwards, for every caller.
func TestBetweenTheParts(t *testing.T) {
	t.Parallel()
	const last = windowsInParts - 1
	entered := []string{
		"subscribed T/ranked list by rank asc",
		fmt.Sprintf(`snapshot T/ranked k%d:{"rank":%d} complete`, last+1, last+1),
	}
	for name, between := range map[string]func(t *testing.T, p *parts){
		"a reader gets the state after the group": func(t *testing.T, p *parts) {
			res, issue := p.Read(app, request(lastWindow), 0)
			if issue != nil || len(res.Rows) != 1 || res.Rows[0].Key != fmt.Sprint("k", last+1) {
				t.Errorf("got %v, %v", res, issue)
			}
		},
		"another subscribes to a window": func(t *testing.T, p *parts) {
			c := p.connect()
			c.subscribe(lastWindow)
			if diff := cmp.Diff(entered, c.take()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			defer p.finish()()
			c.expect()
		},
		"another begins that has waited": func(t *testing.T, p *parts) {
			p.waiting.give(-1)
			if diff := cmp.Diff(entered, p.waiting.take()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			defer p.finish()()
			p.waiting.expect()
		},
		"another subscribes to a new window": func(t *testing.T, p *parts) {
			c := p.connect()
			c.subscribe(fmt.Sprintf("T/ranked take=1 skip=%d", last+1))
			defer p.finish()()
			c.expect("subscribed T/ranked list by rank asc", `snapshot T/ranked k0:{"rank":100} complete`)
		},
		"a window ends before it, and one behind it": func(t *testing.T, p *parts) {
			const behind = publishedFirst + 2
			p.conns[0].leave()
			p.conns[behind].leave()
			p.conns[0], p.conns[behind] = p.connect(), p.connect()
			defer p.finish()()
			p.conns[0].expect()
			p.conns[behind].expect()
			p.expectMoved(t, 1, behind)
			p.expectMoved(t, behind+1, windowsInParts)
		},
		"a window is replaced": func(t *testing.T, p *parts) {
			c := p.conns[last]
			c.subscribe("T/ranked take=2 skip=1")
			defer p.finish()()
			want := map[string]any{"k2": 2.0, "k3": 3.0}
			got := map[string]any{}
			for key, row := range c.store["T/ranked"] {
				got[key] = row.(map[string]any)["rank"]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		},
		"the view is defined over another type": func(t *testing.T, p *parts) {
			if err := p.Remove(t.Context(), app, "T/ranked"); err != nil {
				t.Error(err)
			}
			p.define(`{"id":"T/ranked","source":"U/list","sort":[{"field":"rank"}]}`)
			defer p.finish()()
			for i, c := range p.conns {
				if len(c.store["T/ranked"]) > 0 {
					t.Errorf("window %d still shows %v", i, c.store["T/ranked"])
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inParts(t, func(t *testing.T, p *parts) {
				between(t, p)
				p.group.Wait()
			})
		})
	}
}
