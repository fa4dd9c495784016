package config

import _ "embed"

//go:embed reference.toml
var reference string

// Reference is every key with its default and its meaning, as a commented file that may be
// loaded.
func Reference() string { return reference }
