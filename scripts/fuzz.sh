#!/usr/bin/env bash
# fuzz.sh [TIME]: every fuzz target of the repository for TIME each (30s). Findings land in
# the package's testdata/fuzz and fail from then on as ordinary tests.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
targets=$(grep -rHoE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's,^(.*)/[^/]+:func (.*)$,\1 \2,' | sort)
if [ -z "$targets" ]; then
	echo "no fuzz target found" >&2
	exit 1
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# fuzz runs one target. The tool sometimes fails a target with "context deadline exceeded"
# just because its time is up; such a run found nothing and is made again, a few times.
fuzz() {
	local left=${3:-4}
	if go test -run='^$' -fuzz="^$2\$" -fuzztime="$time" "$1" </dev/null >"$output" 2>&1; then
		tail -n 3 "$output"
	elif [ "$left" -gt 0 ] && grep -q 'context deadline exceeded' "$output" && ! grep -q 'Failing input' "$output"; then
		fuzz "$1" "$2" $((left - 1))
	else
		cat "$output"
		return 1
	fi
}

while read -r package name; do
	echo "== $package $name"
	fuzz "$package" "$name"
done <<<"$targets"
echo "$(wc -l <<<"$targets") fuzz targets, $time each"
