#!/bin/sh
# Installs from Debian 12 what is needed by
#
#   test      the integration tests: the servers they run (Glance, Keystone), the
#             OpenStack command line clients, and the programs they point at the
#             mount; this is what no argument means
#   race      the same with the race detector: what compiles C
#   bench     the benchmarks: the tools that glancefs is compared with
#   vm        the test of virtual machines: what makes their disk, and runs them
#   packages  the test of packages: what makes a clean root, and looks at an rpm
#
# Needs root when something is missing; starts no service. Silent and quick when
# nothing is missing.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

packages="attr curl e2fsprogs fio fuse3 glance-api jq keystone procps python3 python3-glanceclient python3-openstackclient qemu-utils rsync systemd"
case ${1:-test} in
test) ;;
race) packages="$packages gcc libc6-dev" ;;
bench) packages="attr curl fuse3 libnbd-bin nbdkit rclone" ;;
vm) packages="$packages debootstrap e2fsprogs fdisk grub-common grub-pc-bin openssl qemu-system-x86 util-linux" ;;
packages) packages="curl debootstrap fish rpm systemd zsh" ;;
*)
	echo "usage: install.sh [test|race|bench|vm|packages]" >&2
	exit 2
	;;
esac
missing=
for p in $packages; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "integration: missing packages, and not root:$missing" >&2
	exit 1
fi
echo "integration: installing$missing" >&2

# The packages' own set-up would ask for databases and start daemons on fixed
# ports; the tests make their own of both.
debconf-set-selections <<-END
	glance-common glance/configure_db boolean false
	glance-common glance/configure_ksat boolean false
	glance-common glance/configure_rabbit boolean false
	glance-api glance/register-endpoint boolean false
	keystone keystone/configure_db boolean false
	keystone keystone/create-admin-tenant boolean false
	keystone keystone/register-endpoint boolean false
END
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
if [ -e $policy ]; then
	policy=
else
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
trap 'rm -f "$log" $policy' EXIT

apt() { apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1; }
# The package lists of a container image are absent or out of date; fetching
# them takes a while, so only when the install fails without.
# shellcheck disable=SC2086
apt install $missing || { apt update && apt install $missing; } || {
	tail -n 30 "$log" >&2
	exit 1
}
