package sim

import (
	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// GiveUp implements [Log].
func (l *RaftLog) GiveUp(node cluster.NodeID, p cluster.Partition, term log.Term) {
	if v := l.voter(node, p); v.hasTenure && v.term == term {
		v.follow(-1)
	}
}

// Length implements [Log].
func (l *RaftLog) Length(p cluster.Partition) int { return len(l.groups[p].committed) }

// GiveUp implements [Log].
func (l *SeqLog) GiveUp(node cluster.NodeID, p cluster.Partition, term log.Term) {
	if c := l.client(node, p); c.hasTenure && c.term == term {
		c.endTenure()
	}
}

// Length implements [Log].
func (l *SeqLog) Length(p cluster.Partition) int { return len(l.groups[p].entries) }
