#!/usr/bin/env bash
# need.sh COMMAND WHY PACKAGE...: makes sure that a command is there. As root on a Debian-like
# system a missing one is installed; elsewhere this says what to install.
set -euo pipefail

command=$1 why=$2
shift 2

if command -v "$command" >/dev/null; then
	exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	echo "installing $* ($why)" >&2
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	export RUNLEVEL=1 # so that no service is started
	if { apt-get update && apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
		exit 0
	fi
	cat "$log" >&2
fi
echo "$command is missing ($why). Install it, for example: sudo apt-get install $*" >&2
exit 1
