#!/bin/sh
# Runs Debian's Keystone in the foreground on 127.0.0.1:PORT until it is killed:
# http://127.0.0.1:PORT/v3, user admin of project admin in domain Default,
# password "secret". All its state lies in DIR and may be deleted after.
set -eu
[ $# -eq 2 ] || {
	echo "usage: keystone.sh DIR PORT" >&2
	exit 2
}
port=$2
mkdir -p "$1"/policy.d
dir=$(cd "$1" && pwd)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# What keystone-manage fernet_setup and credential_setup would write, without
# starting Python twice: a staged key and a primary one.
for k in fernet credential; do
	mkdir -p -m 700 "$dir/$k"
	for n in 0 1; do
		[ -s "$dir/$k/$n" ] || head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' >"$dir/$k/$n"
	done
done
# Without a cache each token that Glance has checked costs most of a second; one
# in memory is right, revocations included, because there is one process.
cat >"$dir/keystone.conf" <<END
[DEFAULT]
public_endpoint = http://127.0.0.1:$port
[database]
connection = sqlite:///$dir/keystone.sqlite
[token]
provider = fernet
[fernet_tokens]
key_repository = $dir/fernet
[fernet_receipts]
key_repository = $dir/fernet
[credential]
key_repository = $dir/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_policy]
policy_dirs = $dir/policy.d
END
# Without write-ahead logging Keystone's readers lock its own writers out.
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("pragma journal_mode=wal")' "$dir/keystone.sqlite"
export OS_KEYSTONE_CONFIG_FILES="$dir/keystone.conf"
{
	keystone-manage --config-file "$dir/keystone.conf" db_sync
	keystone-manage --config-file "$dir/keystone.conf" bootstrap --bootstrap-password secret \
		--bootstrap-region-id RegionOne --bootstrap-public-url "http://127.0.0.1:$port/v3" \
		--bootstrap-internal-url "http://127.0.0.1:$port/v3" # which Glance looks for
} >"$dir/setup.log" 2>&1 || {
	tail -n 20 "$dir/setup.log" >&2
	exit 1
}
exec keystone-wsgi-public --host 127.0.0.1 --port "$port" -- --config-file "$dir/keystone.conf"
