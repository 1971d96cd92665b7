#!/bin/sh
# Makes a bootable disk of Debian 12 with Debian's cloud kernel, as raw and as
# qcow2: DIR/disk.raw and DIR/disk.qcow2. What this script has made before is
# kept, so that a directory that outlives the run saves the minutes it takes.
#
# The disk is like those that clouds offer: 3 GiB, a partition table with its
# copy in the last sectors, GRUB, one file system with 400 MB of programs, and
# 1.5 GiB of data. The machine says BOOTED on its serial console when it is up,
# and powers itself off. Needs root, and what "install.sh vm" installs.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ $# = 1 ] || {
	echo "usage: vm-disk.sh DIR" >&2
	exit 2
}
mkdir -p "$1"
dir=$(cd "$1" && pwd)
exec 9>"$dir/lock"
flock 9
version=$(sha256sum <"$0")
[ "$(cat "$dir/version" 2>/dev/null)" != "$version" ] || exit 0
work=$dir/work root=$dir/work/root disk=$dir/work/disk.raw
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

echo "integration: making the disk of a virtual machine in $dir" >&2
debootstrap --variant=minbase --include=linux-image-cloud-amd64,systemd-sysv,udev,zstd bookworm "$root" >"$dir/debootstrap.log" 2>&1 || {
	tail -n 20 "$dir/debootstrap.log" >&2
	exit 1
}
rm -f "$root"/var/cache/apt/archives/*.deb
echo vm >"$root/etc/hostname"
# Read-only, so that every boot reads the same: where ext4 puts new files is a
# matter of chance, and so is what it reads for that.
echo 'LABEL=root / ext4 ro,noatime 0 0' >"$root/etc/fstab"
cat >"$root/etc/systemd/system/booted.service" <<'END'
[Unit]
Description=Says that the machine is up, and ends it
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo; echo "BOOTED $(uname -r)"; exec systemctl poweroff --force'
StandardOutput=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../booted.service "$root/etc/systemd/system/multi-user.target.wants/"
openssl enc -aes-128-ctr -pass pass:data -nosalt </dev/zero 2>/dev/null | head -c 1536M >"$root/srv/data"
# Emulated on a busy machine, timers are late, which the kernel takes for a
# broken one; a kernel that gives up ends the machine.
kernel=$(cd "$root/boot" && echo vmlinuz-*)
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<END
serial --unit=0
terminal_output serial
linux /boot/$kernel root=LABEL=root ro console=ttyS0 quiet systemd.volatile=state no_timer_check panic=-1
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
END

# A partition for GRUB from sector 2048, and one for the system from 4096. GRUB
# is put where grub-install puts it, without the loop device that that needs.
truncate -s 3G "$disk"
sfdisk --quiet "$disk" <<'END'
label: gpt
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=4096, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
END
mke2fs -q -t ext4 -L root -d "$root" -E offset=$((4096 * 512)) "$disk" $(((3 << 20) - 2048 - 1024))
grub-mkimage -O i386-pc -p '(hd0,gpt2)/boot/grub' -o "$work/core.img" \
	biosdisk part_gpt ext2 normal configfile linux serial terminal boot
at() { dd of="$disk" bs=1 seek="$1" conv=notrunc status=none; }
head -c 440 /usr/lib/grub/i386-pc/boot.img | at 0
printf '\0\10\0\0\0\0\0\0' | at $((0x5c)) # where its next sector is: 2048
dd if="$work/core.img" of="$disk" bs=512 seek=2048 conv=notrunc status=none
printf '\1\10\0\0\0\0\0\0' | at $((2048 * 512 + 0x1f4)) # and the one after that: 2049

qemu-img convert -f raw -O qcow2 "$disk" "$work/disk.qcow2"
rm -f "$dir/version"
mv "$disk" "$dir/disk.raw"
mv "$work/disk.qcow2" "$dir/disk.qcow2"
echo "$version" >"$dir/version"
