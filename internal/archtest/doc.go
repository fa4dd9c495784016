// Package archtest holds the import law and the house rules as tests. It reads the
// repository as text and syntax, so that files of every operating system and build tag are
// judged on any machine; the failure text says why a rule exists.
//
// It owns the tables of the law (law_test.go) and the generated documents
// docs/protocol/errors.md and docs/metrics.md: run "make generate" after a change of what
// they list. It must never be imported and has no goroutines.
package archtest
