# What the commands of every document run in: a machine that has the program and
# an account, but for what is mounted over here. It ends with its namespaces.

# own gives it a directory of its own, with what is in FROM.
own() {
	mkdir -p "$1" "$state$1"
	[ $# = 1 ] || cp -a "$2/." "$state$1"
	mount --bind "$state$1" "$1"
}
for d in /mnt /srv /var/cache /usr/local/sbin /usr/local/bin; do own $d; done
own /etc /etc
mkdir -p "$repo/bin"
own "$repo/bin"
cp "$GLANCEFS" /usr/local/bin

# says wants a text in what the last command of the document has printed.
says() {
	grep -qF -- "$1" "$out" || { echo "it does not say: $1"; false; }
}

# cloud writes the account to the file that clients look for.
cloud() {
	mkdir -p /etc/openstack
	cat >/etc/openstack/clouds.yaml <<-END
		clouds:
		  mycloud:
		    auth: {auth_url: "$KEYSTONE", username: "$ACCOUNT", password: secret, project_name: "$ACCOUNT", user_domain_name: Default, project_domain_name: Default}
	END
}

# unmounted wants nothing to be mounted at a place.
unmounted() {
	if mountpoint -q "$1"; then
		echo "$1 is mounted"
		false
	fi
}

exec 9>&1
trap '{ echo "failed: $BASH_COMMAND"; cat "$out"; } >&9' ERR
set -E
cd "$work"
