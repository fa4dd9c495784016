package link_test

import (
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/protocol"
)

// message says what its loss takes away.
type message struct {
	Name   string
	Bytes  int
	IsBulk bool
	Takes  cluster.Loss
}

func (m *message) Size() int          { return m.Bytes }
func (m *message) Bulk() bool         { return m.IsBulk }
func (m *message) Loss() cluster.Loss { return m.Takes }

// opaque is a message without the methods that a message need not have.
type opaque struct{ Name string }

func (*opaque) Size() int { return 100 }

func topic(name string) protocol.Topic {
	return protocol.Topic{App: "app", Kind: protocol.TopicChannel, Name: name}
}

// named is the loss of publications of topics.
func named(names ...string) cluster.Loss {
	var l cluster.Loss
	for _, name := range names {
		l.Topics = append(l.Topics, topic(name))
	}
	return l
}

// live is a message of a topic, and bulk a piece of bulk.
func live(name string) *message { return &message{Name: name, Bytes: 100, Takes: named(name)} }

func bulk(name string) *message {
	return &message{Name: name, Bytes: 100, IsBulk: true, Takes: named(name)}
}

// counts is what a message of 100 bytes counts.
const counts = 100 + 64
