package view_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/view"
)

// TestEachNumberOnceInOrder is S01 and S02: while numbers are appended to one entity and
// others come and go, clients subscribe at any moment, stop reading, go on, and replace and
// end their subscriptions. Each must end with every number exactly once, in order.
func TestEachNumberOnceInOrder(t *testing.T) {
	t.Parallel()
	subs := []string{
		"T/list", "T/append key=a", "T/state key=a", "T/list after=origin", "T/list key=a",
		"T/sorted", "T/sorted take=3", "T/first", "T/latest",
	}
	s := setup{
		hub:   hub.Options{MaxHeld: 50, MaxInboxBytes: 1},
		views: view.Options{FirstBatch: 3, NextBatch: 5},
	}
	inNodeWith(t, s, func(t *testing.T, n *node) {
		n.define(`{"id":"T/sorted","source":"T/list","sort":[{"field":"rank"}]}`)
		n.define(`{"id":"T/first","source":"T/sorted","filter":{"field":"rank","op":"eq","value":0},"limit":1}`)
		n.define(`{"id":"T/latest","source":"T/list"}`)
		subs[3] = strings.ReplaceAll(subs[3], "origin", n.origin())
		for i := range 40 {
			n.apply(fmt.Sprintf(`T k%d patch {"rank":%d}`, i, i+1))
		}
		n.apply(`T a patch {"rank":0,"log":[]}`)
		const numbers, workers = 2000, 8
		var wg sync.WaitGroup
		wg.Go(func() { appendNumbers(n, numbers) })
		all := make([]*conn, workers)
		for i := range all {
			wg.Go(func() { all[i] = wander(n, subs[i%len(subs)], rand.New(rand.NewPCG(1, uint64(i)))) })
		}
		wg.Wait()
		for i := range subs[workers%len(subs):] {
			c := n.connect()
			c.subscribe(subs[(workers+i)%len(subs)])
			all = append(all, c)
		}
		n.apply(`T a patch {"log":[-1]} log`)
		for i, c := range all {
			c.give(-1)
			synctest.Wait()
			checkLog(t, subs[i%len(subs)], c, numbers)
			c.leave()
		}
	})
}

func appendNumbers(n *node, numbers int) {
	for i := 1; i <= numbers; i++ {
		b := &entity.Batch{App: app, Mutations: []entity.Mutation{mutation(fmt.Sprintf(`T a patch {"log":[%d]} log`, i))}}
		switch i % 5 {
		case 1:
			b.Mutations = append(b.Mutations, mutation(fmt.Sprintf(`T k%d delete`, i%40)))
		case 3:
			b.Mutations = append(b.Mutations, mutation(fmt.Sprintf(`T k%d patch {"rank":%d}`, i%40, i%7+1)))
		}
		if _, err := n.Apply(b); err != nil {
			n.t.Errorf("apply: %v", err)
			return
		}
	}
}

// wander returns a connection that is subscribed, after some that were not for long.
func wander(n *node, sub string, r *rand.Rand) *conn {
	for range 20 {
		c := n.connect()
		c.subscribe(sub)
		for range r.IntN(30) {
			switch r.IntN(8) {
			case 0:
				c.subscribe(sub + " limit=1000")
			case 1:
				c.subscribe(sub)
			case 2, 3, 4:
				c.give(r.IntN(5))
			default:
				c.give(-1)
			}
		}
		if c.isClosed || r.IntN(4) > 0 {
			c.leave()
			continue
		}
		return c
	}
	c := n.connect()
	c.subscribe(sub)
	return c
}

func checkLog(t *testing.T, sub string, c *conn, numbers int) {
	t.Helper()
	r := request(sub)
	a, ok := c.store[r.View]["a"].(map[string]any)
	if !ok {
		t.Errorf("%s: no row of a", sub)
		return
	}
	log, _ := a["log"].([]any)
	if len(log) != numbers+1 {
		t.Errorf("%s: %d numbers, want %d", sub, len(log), numbers+1)
		return
	}
	for i, got := range log[:numbers] {
		if got != float64(i+1) {
			t.Errorf("%s: number %d is %v", sub, i+1, got)
			return
		}
	}
}
