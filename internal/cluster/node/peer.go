package node

import (
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/cluster/link"
)

// peer is another node, as far as this one hears.
type peer struct {
	cluster.Peer // in its last life that was heard of; zero: none yet
	end          *link.End
	toldDropped  time.Duration // when it was last told that an owner has taken its life for dead

	// What the follower has for the owners there. It waits here while the link is half full, so that the link drops none
	// of it to make room for the rest.
	backlog []cluster.Message
	size    int
	// mustResync says that some of it was lost: the follower reports in full, then asks again, as soon as the link has room.
	mustResync  bool
	isOtherLife bool // the node has begun another life since
	resynced    time.Duration
}

// resyncPause is the least time between two reports in full for what a link has lost.
const resyncPause = 50 * time.Millisecond

// backlogs is how many times as much as a link keeps may wait for it.
const backlogs = 4

// queue takes a message of the follower. What does not fit is asked for again.
func (n *Node) queue(p *peer, m cluster.Message) {
	if p.size += m.Size(); p.size > backlogs*n.o.LinkBytes {
		n.resync(p, false)
		return
	}
	p.backlog = append(p.backlog, m)
}

// resync has the follower report in full and ask again. What waits is a part of that.
func (n *Node) resync(p *peer, isOtherLife bool) {
	p.backlog, p.size, p.mustResync = nil, 0, true
	p.isOtherLife = p.isOtherLife || isOtherLife
}

// pump gives the link what waits, as far as it has room.
func (n *Node) pump(now time.Duration) {
	for _, id := range n.o.Nodes {
		p := n.peers[id]
		if p == nil {
			continue
		}
		if p.mustResync && n.hasRoom(p) && now >= p.resynced+resyncPause {
			p.mustResync, p.resynced = false, now
			n.follower.AskAgain(p.Node, p.isOtherLife)
			n.follower.ReportAgain(p.Node)
			n.desk.AskAgain(p.Node)
			p.isOtherLife = false
		}
		for len(p.backlog) > 0 && n.hasRoom(p) {
			p.size -= p.backlog[0].Size()
			p.end.Send(p.backlog[0])
			p.backlog = p.backlog[1:]
		}
	}
}

func (n *Node) hasRoom(p *peer) bool { return p.end.Room() > n.o.LinkBytes/2 }
