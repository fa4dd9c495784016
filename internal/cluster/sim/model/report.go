package model

import (
	"fmt"
	"slices"
	"time"
)

// maxLines is how many violations a model words. It counts all.
const maxLines = 50

// report collects the violations of one model.
type report struct {
	name  string
	lines []string
	count int
}

// Violations lists what was violated, oldest first. The last line tells how many more there were, if not all are here.
func (r *report) Violations() []string {
	if r.count == len(r.lines) {
		return r.lines
	}
	return append(slices.Clip(r.lines), fmt.Sprintf("%s: and %d more", r.name, r.count-len(r.lines)))
}

// Count is how many violations there were.
func (r *report) Count() int { return r.count }

func (r *report) violated(now time.Duration, format string, args ...any) {
	if r.count++; len(r.lines) < maxLines {
		r.lines = append(r.lines, fmt.Sprintf("%s %s: ", now, r.name)+fmt.Sprintf(format, args...))
	}
}
