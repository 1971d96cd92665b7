#!/bin/sh
# Ends the mounts that are units, when the package goes and not for an upgrade:
# dpkg says "upgrade" then, rpm 1.
set -e
case ${1:-} in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl stop 'glancefs@*.service' || true
	fi
	;;
esac
