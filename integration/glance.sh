#!/bin/sh
# Runs Debian's Glance in the foreground on 127.0.0.1:PORT until it is killed.
# All its state (sqlite, image files, log) lies in DIR and may be deleted after.
#
#   noauth    every caller is an admin without a project
#   norange   noauth, and the file store refuses Range as rbd, swift and s3 do
#   tokens    a token "user:project:role" is believed
#   keystone  tokens are checked by the Keystone on KEYSTONE_PORT, see keystone.sh
set -eu
usage() {
	echo "usage: glance.sh noauth|norange|tokens DIR PORT | keystone DIR PORT KEYSTONE_PORT" >&2
	exit 2
}
[ $# -ge 3 ] || usage
mode=$1 port=$3
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"/images "$2"/staging "$2"/tasks "$2"/policy.d
dir=$(cd "$2" && pwd)
# Debian's programs want Debian's python, whatever else comes first in PATH.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

flavor= pipeline=
case $mode in
noauth) ;;
norange) pipeline='s/ rootapp$/ norange rootapp/' ;;
tokens) pipeline='s/ unauthenticated-context / believe context /' ;;
keystone) [ $# -eq 4 ] || usage; flavor='flavor = keystone' ;;
*) usage ;;
esac
{
	sed "$pipeline" /etc/glance/glance-api-paste.ini
	printf '\n[filter:norange]\npaste.filter_factory = filter:norange\n'
	printf '\n[filter:believe]\npaste.filter_factory = filter:believe\n'
} >"$dir/paste.ini"

# workers = 0 serves from the one process that is started here: nothing is left
# when it is killed, and sqlite never sees two writers.
cat >"$dir/glance-api.conf" <<END
[DEFAULT]
bind_host = 127.0.0.1
bind_port = $port
workers = 0
node_staging_uri = file://$dir/staging
[glance_store]
stores = file
default_store = file
filesystem_store_datadir = $dir/images
[database]
connection = sqlite:///$dir/glance.sqlite
[oslo_policy]
policy_dirs = $dir/policy.d
[task]
work_dir = $dir/tasks
[paste_deploy]
config_file = $dir/paste.ini
$flavor
END
# Glance would believe a token it has seen for five minutes; the tests revoke them.
[ "$mode" != keystone ] || cat >>"$dir/glance-api.conf" <<END
[keystone_authtoken]
token_cache_time = -1
www_authenticate_uri = http://127.0.0.1:$4
auth_url = http://127.0.0.1:$4
auth_type = password
username = glance
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
END

# Without write-ahead logging a listing in progress locks uploads out.
python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("pragma journal_mode=wal")' "$dir/glance.sqlite"
glance-manage --config-file "$dir/glance-api.conf" db_sync >"$dir/db_sync.log" 2>&1 || {
	tail -n 20 "$dir/db_sync.log" >&2
	exit 1
}
export PYTHONPATH="$here/paste" PYTHONDONTWRITEBYTECODE=1
exec glance-api --config-file "$dir/glance-api.conf"
