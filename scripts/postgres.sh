#!/usr/bin/env bash
# postgres.sh: makes sure that there is a PostgreSQL server to run tests with. Debian keeps its
# programs out of PATH. The tests start a server of their own; one that runs is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

if compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || compgen -G "/opt/homebrew/opt/postgresql@*/bin/initdb" >/dev/null ||
	compgen -G "/usr/local/opt/postgresql@*/bin/initdb" >/dev/null; then
	exit 0
fi
scripts/need.sh initdb "the tests of internal/store/postgres run a server" postgresql
