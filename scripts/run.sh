#!/usr/bin/env bash
# run.sh: builds bin/millrace, runs it on its built-in defaults, sends one event and one entity through
# it to show that it works, says what to do next, and stays in the foreground until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."

# It shows the development app: another one, or a registry, would end development mode.
unset "${!MILLRACE_APPS_@}" "${!MILLRACE_REGISTRY_@}"
address=${MILLRACE_HTTP_LISTEN:-127.0.0.1:6001}
metrics=${MILLRACE_METRICS_LISTEN-127.0.0.1:9601}
url=http://$address

# is_taken ADDRESS: whether a server answers there.
is_taken() {
	local host=${1%:*} port=${1##*:}
	host=${host#[} host=${host%]}
	[[ $port =~ ^[0-9]+$ ]] && (exec 3<>"/dev/tcp/${host:-127.0.0.1}/$port") 2>/dev/null
}

# free ADDRESS FIRST: the address if no server answers there, else 127.0.0.1 with the first port from there on that is free.
free() {
	local port=$2
	is_taken "$1" || { echo "$1"; return; }
	while is_taken "127.0.0.1:$port"; do port=$((port + 1)); done
	echo "127.0.0.1:$port"
}

for taken in "$address" "$metrics"; do
	if [ -n "$taken" ] && is_taken "$taken"; then
		listen=$(free "$address" 6002)
		cat >&2 <<-TEXT
			make run: a server uses $taken already. Stop it ("ss -ltnp" shows it), or choose other ports, and data of its own:

			  make run MILLRACE_HTTP_LISTEN=$listen MILLRACE_METRICS_LISTEN=$(free "$metrics" 9602) MILLRACE_STORE_PATH=./millrace-data-${listen##*:}

		TEXT
		exit 1
	fi
done

echo "Building bin/millrace; the first time takes a minute or two."
started=$SECONDS
make build
echo "Built in $((SECONDS - started)) s."

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
