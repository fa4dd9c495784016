#!/usr/bin/env bash
# clients.sh [FILE...]: the real clients and server libraries against bin/millrace, all suites or the named ones.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/need.sh node "runs the real clients" nodejs
scripts/need.sh npm "installs the real clients" npm
scripts/need.sh perl "holds the socket of a server that is restarted" perl-base
if [ -z "${CHROMIUM_BIN:-}" ]; then
	scripts/need.sh chromium "runs pusher-js and the development page in a browser" chromium
fi
for proxy in nginx haproxy caddy; do
	scripts/need.sh "$proxy" "is a proxy whose configuration in deploy/ is tested" "$proxy"
done
scripts/need.sh openssl "makes the certificates of the proxies" openssl

# The official Go server library is a module of its own, so that the server does not depend on it.
CGO_ENABLED=0 go -C test/libraries/go build -trimpath -o "$PWD/bin/library-go" .

# Our own client is tested beside the suites, and built for those that use it.
if [ $# -eq 0 ]; then
	scripts/client-package.sh
else
	scripts/client-package.sh build
fi

cd test/clients
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
	npm ci --no-audit --no-fund --loglevel=error </dev/null
	cp package-lock.json node_modules/.installed-lock.json
fi
if [ $# -eq 0 ]; then
	set -- suites/*.test.js
fi
# Forced to exit: pusher-js in Node keeps a timer of 30 s for a connection that the server has closed.
NODE_OPTIONS=--experimental-websocket node --test --test-concurrency=2 --test-timeout=300000 --test-reporter=spec --test-force-exit "$@" </dev/null
