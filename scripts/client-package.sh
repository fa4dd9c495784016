#!/usr/bin/env bash
# client-package.sh [build]: the client package in clients/js, type-checked, built and tested; or built alone.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh node "runs the client package" nodejs
scripts/need.sh npm "installs what the client package is tested with" npm

cd clients/js
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
	npm ci --no-audit --no-fund --loglevel=error </dev/null
	cp package-lock.json node_modules/.installed-lock.json
fi
npm run --silent "${1:-test}" </dev/null
