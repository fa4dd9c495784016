//go:build !race

package sim_test

const isRace = false
