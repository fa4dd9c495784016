#!/usr/bin/env bash
# bench-smoke.sh: every part of bin/bench once, little of it, and the load generator on the floor. It fails when
# something does not work or a run was not clean: an event lost, doubled or out of place, an error. A
# bar that is not met is no failure: the numbers of so short a run mean nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

# What a part may take, in seconds: many times what it does, so that one that hangs ends.
part_limit=300

work=$(mktemp -d)
floor=
finish() {
	if [ -n "$floor" ]; then
		kill "$floor" 2>/dev/null || true
		wait "$floor" || true
	fi
	rm -rf "$work"
}
trap finish EXIT

# part COMMAND...: runs it, and shows what it printed if it failed.
part() {
	local started=$SECONDS
	if ! timeout "$part_limit" "$@" >"$work/out" 2>"$work/err"; then
		cat "$work/out" "$work/err"
		echo "bench-smoke: $* failed" >&2
		exit 1
	fi
	echo "$* took $((SECONDS - started)) s"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# on_the_floor: puts load on a floor that listens on a free port.
on_the_floor() {
	local port=6002
	while answers "$port"; do port=$((port + 1)); done
	bin/bench floor --listen "127.0.0.1:$port" &
	floor=$!
	until answers "$port"; do
		kill -0 "$floor" 2>/dev/null || exit 1 # it has said why
	done
	part bin/millrace bench load --url "http://127.0.0.1:$port" --metrics-url= --connections 200 --channels 4 --window 8 \
		--warmup 100ms --duration 400ms --quiet
}

part bin/bench report --quick --out "$work/performance.md"
part bin/bench views --quick
part bin/bench guards --quick
part bin/bench storm --quick
part bin/bench ending --quick
part bin/bench hostile --quick
part bin/bench pairs --quick --before bin/millrace
on_the_floor
echo "every part of the benchmark works ($SECONDS s)"
