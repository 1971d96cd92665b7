#!/bin/sh
# What was cached may have taken days to fetch, so that is not for a package to
# remove.
set -e
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
case ${1:-} in
purge | 0)
	if [ -n "$(ls -A /var/cache/glancefs 2>/dev/null)" ]; then
		echo "glancefs: the image cache is kept; if it is not needed any more: rm -r /var/cache/glancefs"
	fi
	;;
esac
