package sim

import (
	"slices"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/log"
)

// seqKind is what a frame between the service and a client says.
type seqKind uint8

const (
	seqAppend  seqKind = iota
	seqAnswer          // index 0: refused
	seqEntries         // what is in the log, and who is to own it
	seqGrant
	seqWant
	seqGive
)

// seqFrame is what the service and a client of it tell each other.
type seqFrame struct {
	partition cluster.Partition
	kind      seqKind

	token  uint64    // seqAppend, seqAnswer
	expect log.Index // seqAppend
	entry  Entry
	index  log.Index // seqAnswer

	entries []Entry // seqEntries: all since the first
	first   log.Index
	term    log.Term // seqEntries, seqGrant, seqGive
	owner   int      // seqEntries
	to      int      // seqGive
	life    uint64   // seqWant: of the client's process
}

// receive takes a frame of a client.
func (g *seqGroup) receive(from int, f *seqFrame) {
	switch f.kind {
	case seqAppend:
		g.append(from, f)
	case seqWant:
		g.wants[from] = g.log.service.Clock()
		if from == g.holder && f.life > g.holderLife {
			g.grant(from) // its process has been started again, and owns nothing any more
			g.holderLife = f.life
		}
	case seqGive:
		if from == g.holder && f.term == g.term {
			g.grant(f.to)
		}
	default:
	}
}

// append stores an entry if it expects the last index, and answers once it is durable.
func (g *seqGroup) append(from int, f *seqFrame) {
	index, isKnown := g.tokens[f.token]
	if !isKnown {
		if f.expect == log.Index(len(g.entries)) {
			index = f.expect + 1
			g.store(f.entry, index)
		}
		g.tokens[f.token] = index
	}
	l := g.log
	at := l.disk.write(l.world, l.options.Write)
	l.service.Post(at-l.world.now, func() {
		g.send(from, seqFrame{kind: seqAnswer, token: f.token, index: index})
		if index > g.visible {
			g.visible = index
			g.tell()
		}
	})
}

func (g *seqGroup) store(e Entry, index log.Index) {
	e.Index = index
	g.entries = append(g.entries, e)
	if e.Term == g.term {
		g.renewed = g.log.service.Clock()
	}
}

// tick does what is to be done from time to time.
func (g *seqGroup) tick() {
	l := g.log
	if l.service.Clock()-g.renewed >= 2*l.options.Heartbeat || l.world.chance(0.0005) {
		g.grantAny()
	} else if g.holder >= 0 {
		g.send(g.holder, seqFrame{kind: seqGrant, term: g.term})
	}
	g.tell()
	l.service.After(l.options.Heartbeat/10, g.tick)
}

// grantAny has a node that asks for it own the partition.
func (g *seqGroup) grantAny() {
	l := g.log
	var candidates [maxVoters]int
	n := 0
	for i, at := range g.wants {
		if at > 0 && l.service.Clock()-at < l.options.Heartbeat/2 {
			candidates[n] = i
			n++
		}
	}
	if n > 0 {
		g.grant(candidates[l.world.Rand.IntN(n)])
	}
}

func (g *seqGroup) grant(to int) {
	g.log.world.Faults.add(Election)
	g.term++
	g.holder, g.holderLife, g.renewed = to, g.log.nodes[to].life, g.log.service.Clock()
	g.send(to, seqFrame{kind: seqGrant, term: g.term})
}

// tell tells all nodes what is in the log.
func (g *seqGroup) tell() {
	for i := range g.clients {
		g.send(i, seqFrame{
			kind: seqEntries, entries: slices.Clip(g.entries[:g.visible]), first: g.first, term: g.term, owner: g.holder,
		})
	}
}

func (g *seqGroup) send(to int, f seqFrame) {
	f.partition = g.partition
	g.log.network.Send(g.log.service.ID, g.log.nodes[to].ID, &f)
}
