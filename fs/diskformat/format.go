// Package diskformat tells disk images by their bytes: which format they are in, how
// large a disk the guest sees, whether they need another file, and whether they have
// any data yet. It reads headers and tables, and trusts nothing that they say. It knows
// neither images of the service nor drafts.
package diskformat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	iofs "io/fs"
)

// A Format is what the bytes of an image say of themselves.
type Format struct {
	Disk    string // a disk_format of the Images API
	Virtual int64  // bytes the guest sees
}

// Sniff tells the format of an image of size bytes by its content: raw where
// nothing says otherwise, as of a disk with a GPT or an MBR. An image whose
// bytes are not all in it, because it names a backing file, a parent or a file
// with its data, is io/fs.ErrInvalid: it would be broken anywhere else, and on a
// host that opened it the image would choose which of the host's files it shows.
// What it reads is bounded.
func Sniff(r io.ReaderAt, size int64) (Format, error) {
	c := &content{r: r, size: size}
	for _, probe := range []func(*content) (Format, error){qcow2, vmdk, vhdx, vdi, ploop, luks, vhd, iso9660} {
		f, err := probe(c)
		if c.err != nil {
			return Format{}, c.err
		}
		if err != nil {
			return Format{}, err
		}
		if f.Disk == "" {
			continue
		}
		if f.Virtual <= 0 {
			f.Virtual = size
		}
		return f, nil
	}
	return Format{Disk: "raw", Virtual: size}, nil
}

// needs is the refusal of an image that is not all there.
func needs(disk, what string) error {
	return fmt.Errorf("a %s image with %s is of no use without it: %w", disk, what, iofs.ErrInvalid)
}

// content is the bytes that are probed.
type content struct {
	r    io.ReaderAt
	size int64
	err  error // the first error of reading
}

// at returns n bytes at off, or n zeros where the image has not so many.
func (c *content) at(off int64, n int) []byte {
	p := make([]byte, n)
	if off < 0 || off > c.size-int64(n) || c.err != nil {
		return p
	}
	if _, err := c.r.ReadAt(p, off); err != nil {
		c.err = fmt.Errorf("reading the image: %w", err)
		clear(p)
	}
	return p
}

// has reports whether magic is at off.
func (c *content) has(off int64, magic string) bool {
	return string(c.at(off, len(magic))) == magic
}

func (c *content) le32(off int64) uint32 { return binary.LittleEndian.Uint32(c.at(off, 4)) }
func (c *content) le64(off int64) uint64 { return binary.LittleEndian.Uint64(c.at(off, 8)) }
func (c *content) be32(off int64) uint32 { return binary.BigEndian.Uint32(c.at(off, 4)) }
func (c *content) be64(off int64) uint64 { return binary.BigEndian.Uint64(c.at(off, 8)) }

// sectors is a number of sectors of 512 bytes, in bytes; 0 if that is no size.
func sectors(n uint64) int64 {
	if n >= 1<<54 {
		return 0
	}
	return int64(n) * 512
}

// length is a number of bytes; 0 if that is no size.
func length(n uint64) int64 { return max(0, int64(n)) }

// qcow2 goes by QEMU's docs/interop/qcow2.txt: the magic, version 2 or 3, and
// at 8 the offset of a backing file's name, at 24 the virtual size, at 72 (since
// version 3) the incompatible features, of which bit 2 says that the data is in
// another file.
func qcow2(c *content) (Format, error) {
	if !c.has(0, "QFI\xfb") {
		return Format{}, nil
	}
	version := c.be32(4)
	switch {
	case version < 2:
		return Format{}, fmt.Errorf("qcow version %d, which no image service takes: convert it to qcow2: %w", version, iofs.ErrInvalid)
	case c.be64(8) != 0:
		return Format{}, needs("qcow2", "a backing file")
	case version > 2 && c.be64(72)&(1<<2) != 0:
		return Format{}, needs("qcow2", "an external data file")
	}
	return Format{"qcow2", length(c.be64(24))}, nil
}

// maxDescriptor is how much of a VMDK's descriptor is looked at: 20 sectors are
// usual.
const maxDescriptor = 64 << 10

// vmdk goes by VMware's "Virtual Disk Format 5.0": a sparse extent begins with
// KDMV and has at 12 the capacity, at 28 and 36 where its descriptor lies and how
// long that is, all in sectors. A descriptor by itself is text, and names the
// files that its data is in. parentCID is all ones unless it is a delta.
func vmdk(c *content) (Format, error) {
	if c.has(0, "# Disk DescriptorFile") {
		return Format{}, needs("vmdk", "its data in other files")
	}
	if !c.has(0, "KDMV") {
		return Format{}, nil
	}
	at, n := sectors(c.le64(28)), min(sectors(c.le64(36)), maxDescriptor)
	if at > 0 && at < c.size {
		text := c.at(at, int(min(n, c.size-at)))
		if _, parent, ok := bytes.Cut(bytes.ToLower(text), []byte("parentcid=")); ok && !bytes.HasPrefix(parent, []byte("ffffffff")) {
			return Format{}, needs("vmdk", "a parent")
		}
	}
	return Format{"vmdk", sectors(c.le64(12))}, nil
}

// vdi goes by VirtualBox's VDICore.h: text that begins with <<<, the signature
// at 64, the version at 68, and in version 1 the type at 76, of which 4 is a
// difference to a parent, and at 368 the virtual size.
func vdi(c *content) (Format, error) {
	if !c.has(0, "<<< ") || c.le32(64) != 0xbeda107f {
		return Format{}, nil
	}
	if c.le32(76) == 4 {
		return Format{}, needs("vdi", "a parent")
	}
	return Format{"vdi", length(c.le64(368))}, nil
}

// ploop goes by QEMU's docs/interop/parallels.rst: one of two magics, and at 36
// the number of sectors, of which the older one uses 32 bits.
func ploop(c *content) (Format, error) {
	switch {
	case c.has(0, "WithoutFreeSpace"):
		return Format{"ploop", sectors(uint64(c.le32(36)))}, nil
	case c.has(0, "WithouFreSpacExt"):
		return Format{"ploop", sectors(c.le64(36))}, nil
	}
	return Format{}, nil
}

// luks goes by the "LUKS1 On-Disk Format Specification" 1.2.3 and that of LUKS2:
// the magic and at 6 the version; version 1 has at 104 the sector that the
// encrypted disk begins at.
func luks(c *content) (Format, error) {
	if !c.has(0, "LUKS\xba\xbe") {
		return Format{}, nil
	}
	f := Format{Disk: "luks"}
	if c.has(6, "\x00\x01") {
		f.Virtual = c.size - sectors(uint64(c.be32(104)))
	}
	return f, nil
}

// vhd goes by Microsoft's "Virtual Hard Disk Image Format Specification" 1.0:
// the footer is the last 512 bytes, 511 of the first releases, and a copy of it
// the first 512 where the disk is not fixed. It has at 48 the virtual size, at
// 60 the type, of which 4 is a difference to a parent, and at 64 a checksum:
// the complement of the sum of its bytes but for the checksum's own.
func vhd(c *content) (Format, error) {
	for _, at := range []int64{0, c.size - 512, c.size - 511} {
		if !c.has(at, "conectix") {
			continue
		}
		footer := make([]byte, 512)
		copy(footer, c.at(at, 511))
		if at == 0 || at == c.size-512 {
			footer = c.at(at, 512)
		}
		var sum uint32
		for i, b := range footer {
			if i < 64 || i >= 68 {
				sum += uint32(b)
			}
		}
		switch {
		case binary.BigEndian.Uint32(footer[64:]) != ^sum:
			continue
		case binary.BigEndian.Uint32(footer[60:]) == 4:
			return Format{}, needs("vhd", "a parent")
		}
		return Format{"vhd", length(binary.BigEndian.Uint64(footer[48:]))}, nil
	}
	return Format{}, nil
}

// iso9660 goes by ECMA-119, 8.1: volume descriptors of 2048 bytes begin at
// sector 16, each with the identifier CD001 behind its type; the first usually
// is the primary one, but need not be. A disk image may be one too, so that it
// boots from both; it is used as the disk it also is, all of it.
func iso9660(c *content) (Format, error) {
	for sector := int64(16); sector < 19; sector++ {
		if c.has(sector*2048+1, "CD001") {
			return Format{Disk: "iso"}, nil
		}
	}
	return Format{}, nil
}
