package interest

import (
	"slices"

	"github.com/millrace/millrace/internal/cluster"
)

// Part is the part of one node in a topic or in a pattern.
type Part struct {
	Node cluster.NodeID
	cluster.Part
}

// parts are the parts of nodes, in the order in which they came.
type parts []Part

// find is the part of a node; nil without one.
func (ps parts) find(id cluster.NodeID) *Part {
	for i := range ps {
		if ps[i].Node == id {
			return &ps[i]
		}
	}
	return nil
}

// take makes a part known unless it is an old one. It returns the part that is known.
func (ps *parts) take(id cluster.NodeID, p cluster.Part) *Part {
	known := ps.find(id)
	if known == nil {
		*ps = append(*ps, Part{Node: id})
		known = &(*ps)[len(*ps)-1]
	}
	if p.Version > known.Version {
		known.Part = p
	}
	return known
}

// drop forgets the part of a node.
func (ps *parts) drop(id cluster.NodeID) {
	*ps = slices.DeleteFunc(*ps, func(p Part) bool { return p.Node == id })
}
