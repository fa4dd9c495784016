package query

import (
	"strings"

	"github.com/millrace/millrace/internal/jsonscan"
)

// projection is a tree of the member names to keep. One without children keeps everything
// below it.
type projection struct {
	name     string
	children []*projection
}

func compileProjection(fields []string) *projection {
	root := &projection{}
	for _, field := range fields {
		root.add(strings.Split(field, "."))
	}
	return root
}

// add keeps a path, unless what contains it is kept already.
func (p *projection) add(path []string) {
	if child := p.child(path[0]); child != nil {
		switch {
		case len(path) == 1:
			child.children = nil
		case len(child.children) > 0:
			child.add(path[1:])
		}
		return
	}
	child := &projection{name: path[0]}
	p.children = append(p.children, child)
	if len(path) > 1 {
		child.add(path[1:])
	}
}

func (p *projection) child(name string) *projection {
	for _, c := range p.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (p *projection) keeps(path []string) bool {
	for _, name := range path {
		if p = p.child(name); p == nil {
			return false
		}
		if len(p.children) == 0 {
			return true
		}
	}
	return false
}

// appendTo appends the kept members of an object. A member of which only parts are kept is
// there if any of them is, so that a path that is missing leaves no trace.
func (p *projection) appendTo(dst []byte, v jsonscan.Value) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for key, value := range v.Entries() {
		child := p.childOf(key)
		if child == nil || !child.finds(value) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, key...)
		dst = append(dst, ':')
		if len(child.children) == 0 {
			dst = append(dst, value...)
		} else {
			dst = child.appendTo(dst, value)
		}
	}
	return append(dst, '}')
}

func (p *projection) childOf(key jsonscan.Value) *projection {
	for _, c := range p.children {
		if key.Means(c.name) {
			return c
		}
	}
	return nil
}

// finds reports whether anything of a value is kept.
func (p *projection) finds(v jsonscan.Value) bool {
	if len(p.children) == 0 {
		return true
	}
	if v.Kind() != jsonscan.Object {
		return false
	}
	for key, value := range v.Entries() {
		if child := p.childOf(key); child != nil && child.finds(value) {
			return true
		}
	}
	return false
}
