#!/bin/sh
# Does what the README says first, "make demo" and "make test", on a Debian 12
# that has seen nothing yet: git, make and the Go of this machine are all that is
# put into it, with what is committed here. It tells what install.sh forgets.
#
# Needs root. The new root is below TMPDIR (/var/tmp), takes some 3 GB, and is
# removed; what runs in it has a mount and a process namespace of its own, so
# nothing of it stays. Other targets than those two can be given.
set -eu
export PATH="$PATH:/usr/sbin:/sbin"

if [ "${1-}" != --inside ]; then
	cd "$(dirname "$0")/.."
	sh integration/install.sh packages
	root=$(mktemp -d "${TMPDIR:-/var/tmp}/glancefs-fresh.XXXXXX")
	chmod 755 "$root" # which is for every user of it
	trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
	trap 'exit 1' HUP INT TERM
	debootstrap --variant=minbase --include=ca-certificates,git,make bookworm "$root" >"$root.log" 2>&1 || {
		tail -n 30 "$root.log" >&2
		exit 1
	}
	git clone --quiet . "$root/root/glancefs"
	unshare --mount --pid --fork --kill-child sh integration/fresh.sh --inside "$root" "$@"
	exit
fi

root=$2
shift 2
[ $# != 0 ] || set -- demo test
mount --bind "$root" "$root"
for d in dev sys; do
	mount --rbind /$d "$root/$d"
done
mount -t proc proc "$root/proc"
mkdir -p "$root/usr/local/go"
mount --bind "$(go env GOROOT)" "$root/usr/local/go"
cp /etc/resolv.conf /etc/hosts "$root/etc"
# A network may have certificates of its own.
cp -r /usr/local/share/ca-certificates "$root/usr/local/share"
proxy=$(go env GOPROXY)

# Not chroot(8), in which the kernel makes no user namespaces.
cd "$root"
pivot_root . mnt
umount --lazy /mnt
update-ca-certificates >/dev/null 2>&1
cd /root/glancefs
exec env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	GOPROXY="$proxy" make "$@"
