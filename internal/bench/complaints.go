package bench

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// maxComplaints bounds the different texts that are kept.
const maxComplaints = 32

// complaints counts errors by their text. Safe for concurrent use.
type complaints struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *complaints) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = make(map[string]int)
	}
	text := err.Error()
	if _, ok := c.counts[text]; !ok && len(c.counts) >= maxComplaints {
		text = "other errors"
	}
	c.counts[text]++
}

func (c *complaints) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, k := range c.counts {
		n += k
	}
	return n
}

// Complaint is an error and how often it came.
type Complaint struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

// firstOf is the commonest complaint behind a colon, empty if there is none.
func firstOf(list []Complaint) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + list[0].Text
}

// list is all of them, the commonest first.
func (c *complaints) list() []Complaint {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Complaint
	for _, text := range slices.Sorted(maps.Keys(c.counts)) {
		list = append(list, Complaint{text, c.counts[text]})
	}
	slices.SortStableFunc(list, func(a, b Complaint) int { return cmp.Compare(b.Count, a.Count) })
	return list
}
