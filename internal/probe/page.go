package probe

import (
	"bytes"
	"errors"
	"strconv"
)

// parseCounters reads the values without labels of a page in Prometheus text format.
func parseCounters(page []byte) map[string]float64 {
	counters := make(map[string]float64)
	for line := range bytes.Lines(page) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if n, err := strconv.ParseFloat(string(value), 64); err == nil {
			counters[string(name)] = n
		}
	}
	return counters
}

// parseHeap finds the live heap in a heap profile that is text.
func parseHeap(profile []byte) (int64, error) {
	for line := range bytes.Lines(profile) {
		if value, ok := bytes.CutPrefix(line, []byte("# HeapAlloc = ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		}
	}
	return 0, errors.New("the heap profile does not say how large the heap is")
}

// Gauges are what a metrics page says of the Go runtime; -1 where it says nothing.
type Gauges struct{ Goroutines, Mallocs float64 }

// parseGauges reads a page in Prometheus text format.
func parseGauges(page []byte) Gauges {
	g, counters := Gauges{-1, -1}, parseCounters(page)
	if n, ok := counters["go_goroutines"]; ok {
		g.Goroutines = n
	}
	if n, ok := counters["go_memstats_mallocs_total"]; ok {
		g.Mallocs = n
	}
	return g
}
