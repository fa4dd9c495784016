package owner_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/owner"
	"github.com/millrace/millrace/internal/protocol"
)

// TestMemoryOfTopics: a topic that keeps a ring takes at most 256 bytes at its owner beside what it keeps, its name and
// its stream id.
func TestMemoryOfTopics(t *testing.T) {
	const topics, most = 20_000, 256
	out := new(cluster.Output)
	o := owner.New(out, owner.Options{
		Keeps: func(*protocol.Topic) owner.Keeps { return owner.Ring },
		Tells: func(*protocol.Topic) bool { return false },
		Wall:  func() int64 { return 0 },
	})
	node := cluster.Peer{Node: "a", Incarnation: 1}
	o.Alive(0, node)
	o.Begin(0, 1)
	o.Appended(time.Millisecond, 1, 1, nil)
	o.Receive(time.Millisecond, node, &cluster.Report{Term: 1, IsLast: true})
	names := make([]protocol.Topic, topics)
	for i := range names {
		names[i] = protocol.Topic{App: "app", Name: fmt.Sprintf("topic-%06d", i)}
	}
	out.Take()
	before := heap()
	for i := range names {
		o.Receive(time.Millisecond, node, &cluster.Join{Request: 1, Topic: &names[i], Part: cluster.Part{Version: 1, Subscriptions: 1}})
		out.Take()
	}
	got := (heap() - before) / topics
	runtime.KeepAlive(o)
	runtime.KeepAlive(names)
	const streamID = 48 // its text
	if got -= streamID; got > most {
		t.Errorf("a topic takes %d bytes, want at most %d", got, most)
	} else {
		t.Logf("a topic takes %d bytes", got)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}
