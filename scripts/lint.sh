#!/usr/bin/env bash
# lint.sh ARGUMENTS...: golangci-lint of the pinned version, built into bin/ when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v2.15.0
tool=bin/golangci-lint-$version

if [ ! -x "$tool" ]; then
	echo "building golangci-lint $version (once, a minute or two)" >&2
	mkdir -p bin
	building=$(mktemp -d)
	trap 'rm -rf "$building"' EXIT
	GOBIN=$building GOFLAGS=-mod=mod go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
	mv "$building/golangci-lint" "$tool"
fi
if [ $# -gt 0 ]; then
	"$tool" "$@"
	if [ "$*" = run ]; then # a module of its own
		(cd test/libraries/go && "../../../$tool" run)
	fi
fi
