#!/usr/bin/env bash
# bench-pairs.sh COMMIT: compares bin/millrace with the server of another commit, in pairs of runs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ]; then
	echo "name the commit to compare with: make bench-pairs BEFORE=COMMIT" >&2
	exit 2
fi
work=$(mktemp -d)
finish() {
	git worktree remove --force "$work/tree" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
git worktree add --quiet --detach "$work/tree" "$1"
(cd "$work/tree" && go build -trimpath -o "$work/before" ./cmd/millrace)
bin/bench pairs --before "$work/before"
