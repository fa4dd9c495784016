// Package soak lets one real server live through what many clients do to it at random, round
// after round, and holds what they, the HTTP API and a receiver of webhooks have seen against
// what must be true: nothing published is lost, doubled or out of order; who is present is who
// is said to be present, everywhere; nothing is left behind; memory stays flat.
//
// It has tests only. "make soak" runs them for SOAKTIME; an ordinary run of the tests takes a
// few seconds of it.
package soak
