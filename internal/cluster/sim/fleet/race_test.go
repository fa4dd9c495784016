//go:build race

package fleet_test

// isRace: runs are deterministic and have one goroutine, so that the race detector needs few of them.
const isRace = true
