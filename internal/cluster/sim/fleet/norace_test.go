//go:build !race

package fleet_test

const isRace = false
