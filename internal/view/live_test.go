package view_test

import (
	"testing"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/protocol"
)

// prompt is a client that changes an entity in the moment in which it learns that its
// subscription exists.
type prompt struct {
	replier
	change string
}

func (p prompt) Reply(m *protocol.Message) {
	p.replier.Reply(m)
	if m.Kind == protocol.MessageViewSubscribed {
		if _, err := p.c.n.Apply(&entity.Batch{App: app, Mutations: []entity.Mutation{mutation(p.change)}}); err != nil {
			p.c.n.t.Errorf("apply: %v", err)
		}
	}
}

func TestC13WhatChangesAfterSubscribedIsNeverMissed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, given, sub, change, want string
	}{
		{"in a list", `T b patch {"n":1}`, "T/list nosnapshot", `T a patch {"n":1}`, `upsert T/list a {"n":1}`},
		{"to one entity that is new", `T b patch {"n":1}`, "T/state key=a nosnapshot", `T a patch {"n":1}`, `upsert T/state a {"n":1}`},
		{"to one entity that was there", `T a patch {"m":1}`, "T/list key=a nosnapshot", `T a patch {"n":1}`, `upsert T/list a {"m":1,"n":1}`},
		{"the end of an entity", `T a patch {"n":1}`, "T/state key=a nosnapshot", `T a delete`, `delete T/state a`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inNode(t, func(t *testing.T, n *node) {
				n.apply(test.given)
				c := n.connect()
				defer c.leave()
				c.Init(app, &c.Subscriber, prompt{replier{c}, test.change})
				c.subscribe(test.sub)
				if got := c.take(); len(got) != 2 || got[1] != test.want {
					t.Errorf("got %q, want %q after subscribed", got, test.want)
				}
			})
		})
	}
}
