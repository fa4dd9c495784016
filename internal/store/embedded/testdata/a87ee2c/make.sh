#!/usr/bin/env bash
# make.sh MILLRACE: writes data.tar.gz beside it with the program of commit a87ee2c: a server that
# serves an app of its file and stored ones, is fed, and is killed, so that its WAL is part of it.
set -euo pipefail
millrace=$1
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'kill -9 "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT
port=18573
cat >"$dir/millrace.toml" <<TOML
[http]
listen = "127.0.0.1:$port"
[metrics]
listen = ""
[store]
path = "$dir/data"
[registry]
driver = "embedded"
[admin]
key = "operator"
secret = "operator-secret-of-the-fixture"
[[apps]]
id = "one"
key = "key-one"
secret = "secret-of-app-one"
[[apps.webhooks]]
url = "http://127.0.0.1:9/nowhere"
event_types = ["channel_occupied", "member_added"]
TOML
"$millrace" serve --config "$dir/millrace.toml" 2>"$dir/log" &
server=$!
until grep -q '"serving"' "$dir/log"; do :; done

url=http://127.0.0.1:$port
app=(--url "$url" --app one --app-key key-one --secret secret-of-app-one)
admin=(--url "$url" --admin-key operator --admin-secret operator-secret-of-the-fixture)
for n in 1 2 3 4 5; do
	"$millrace" view put "${app[@]}" Card "card-$n" "{\"title\":\"Card $n\",\"rank\":$n}"
done
"$millrace" view patch "${app[@]}" Card card-2 '{"rank":22,"tags":["new"]}'
"$millrace" view delete "${app[@]}" Card card-5
"$millrace" view define "${app[@]}" '{"id":"Card/top","source":"Card/list","sort":[{"field":"rank","order":"desc"}],"limit":3}'
"$millrace" apps create "${admin[@]}" two --key key-two
"$millrace" apps set "${admin[@]}" two max_connections=12
"$millrace" apps create "${admin[@]}" three --key key-three
"$millrace" apps disable "${admin[@]}" three

# The command line revokes no session: a signed request does.
path=/apps/one/sessions/revoke
body='{"jti":"token-1","until":4070908800}'
query="auth_key=key-one&auth_timestamp=$(date +%s)&auth_version=1.0&body_md5=$(printf %s "$body" | md5sum | cut -d' ' -f1)"
signature=$(printf 'POST\n%s\n%s' "$path" "$query" | openssl dgst -sha256 -hmac secret-of-app-one | sed 's/.*= //')
curl -sf -X POST -H 'Content-Type: application/json' -d "$body" "$url$path?$query&auth_signature=$signature"

# A subscriber whose coming no endpoint takes.
"$millrace" subscribe --url "$url" --key key-one --secret secret-of-app-one waiting >"$dir/seen" 2>&1 &
subscriber=$!
until "$millrace" webhooks status --url "$url" --app one --key key-one --secret secret-of-app-one --json | tee "$dir/status" | grep -Eq '"(waiting|events|pending)":[1-9]'; do :; done
cat "$dir/status"
kill -9 "$server" "$subscriber"
rm -f "$dir/data/millrace.db-shm"
tar -C "$dir" -czf "$here/data.tar.gz" --owner=0 --group=0 --sort=name data
