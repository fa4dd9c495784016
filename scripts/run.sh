#!/usr/bin/env bash
# run.sh: runs bin/millrace on its built-in defaults, sends one event and one entity through it to show
# that it works, says what to do next, and stays in the foreground until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

address=${MILLRACE_HTTP_LISTEN:-127.0.0.1:6001}
url=http://$address

greeting=$(mktemp)
bin/millrace serve --listen "$address" >"$greeting" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" || true; rm -f "$greeting"' EXIT
trap 'exit 0' INT TERM

until [ -s "$greeting" ]; do # it greets once it listens
	kill -0 "$server" 2>/dev/null || exit 1 # it has said why
	sleep 0.1
done
cat "$greeting"

# A cache channel keeps its last event, so the subscriber may come after the publisher.
bin/millrace publish --url "$url" cache-hello greeting '{"hello":"world"}' >/dev/null
echo "One event has just gone through it:"
bin/millrace subscribe --url "$url" --count 2 cache-hello | sed -n 's/.*greeting.*/  &/p'

# A view keeps its entities: they are there again after a restart.
bin/millrace view put --url "$url" Greeting hello '{"hello":"world"}' >/dev/null
echo "And one entity is in a view:"
bin/millrace view get --url "$url" Greeting/list | sed 's/^/  /'
cat <<TEXT

In other terminals:
  bin/millrace subscribe --url $url prices
  bin/millrace publish --url $url prices tick '{"eurusd":1.08}'

  bin/millrace view watch --url $url Greeting/list
  bin/millrace view patch --url $url Greeting hello '{"moon":true}'

TEXT
wait "$server"
