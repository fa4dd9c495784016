#!/usr/bin/env bash
# format.sh: fails and shows the difference when a Go file is not formatted; "make fmt" formats.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! scripts/lint.sh fmt --diff; then
	echo 'not formatted; run "make fmt"' >&2
	exit 1
fi
