// Package reference is the commented configuration file: every key with its default and its meaning. Its
// test generates that file, the example in the root of the repository and docs/config.md from the
// comments of the types in package config, and fails when one of them is not up to date.
package reference

//go:generate go test . -run TestReferenceIsUpToDate -update

import (
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"math/big"
	"strings"
)

//go:embed reference.toml
var file string

// File returns every key with its default and its meaning, as a commented file that may be loaded. Its
// credentials are made for each call. The id is a number, which every server library takes.
func File() string {
	return strings.NewReplacer(
		`"app-id"`, `"`+randomID()+`"`,
		`"app-key"`, `"`+random(10)+`"`, `"change-me"`, `"`+random(32)+`"`,
		`"app-key-2"`, `"`+random(10)+`"`, `"change-me-too"`, `"`+random(32)+`"`,
	).Replace(file)
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// randomID returns a number of seven digits.
func randomID() string {
	const least = 1_000_000
	n, _ := rand.Int(rand.Reader, big.NewInt(9*least)) // never fails
	return n.Add(n, big.NewInt(least)).String()
}
