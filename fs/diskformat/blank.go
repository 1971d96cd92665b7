package diskformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// IsBlank reports whether an image of format f has no data yet: its file has been
// made ready for a disk, of which nothing has been written. qemu-img makes an
// image in several sittings, each with its own open and close, and leaves one
// like that for the last of them. Where the data would be is in the
// specifications that Sniff goes by.
func IsBlank(file *os.File, size int64, f Format) (bool, error) {
	c := &content{r: file, size: size}
	none := false
	switch f.Disk {
	case "raw":
		return unwritten(file, 0, size)
	case "qcow2":
		none = c.all(length(c.be64(40)), int64(c.be32(36))*8, isZero)
	case "vmdk":
		none = c.noGrains()
	case "vdi":
		if data := int64(c.le32(344)); c.le32(76) == 2 { // a fixed one
			return unwritten(file, data, size)
		}
		none = c.le32(76) == 1 && c.le32(388) == 0 // of a growing one, blocks that it has
	case "luks":
		if data := sectors(uint64(c.be32(104))); c.has(6, "\x00\x01") {
			return unwritten(file, data, size)
		}
	case "vhdx":
		none = c.noBlocks()
	case "ploop":
		none = c.all(64, int64(c.le32(32))*4, isZero)
	case "vhd":
		if !c.has(0, "conectix") {
			return unwritten(file, 0, size-512) // all but the footer
		}
		header := length(c.be64(16))
		none = c.has(header, "cxsparse") && c.all(length(c.be64(header+16)), int64(c.be32(header+28))*4, isUnused)
	}
	return none, c.err
}

// maxWritten is how much of a raw image may have been written for it to be blank all
// the same, in bytes: qemu-img writes a page of zeros, to have it on the disk.
const maxWritten = 64 << 10

// unwritten reports whether a part of a file has holes and, but for these, is few
// bytes and zeros. A part all of which was written is as it was meant to be, zeros
// or not.
func unwritten(file *os.File, from, to int64) (bool, error) {
	var written int64
	for off := from; off < to; {
		data, err := unix.Seek(int(file.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return false, err
		}
		hole, err := unix.Seek(int(file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return false, err
		}
		if written += hole - data; written > maxWritten {
			return false, nil
		}
		p := make([]byte, max(0, min(hole, to)-data))
		if _, err := file.ReadAt(p, data); err != nil {
			return false, err
		}
		if !isZero(p) {
			return false, nil
		}
		off = hole
	}
	return written < to-from, nil
}

func isZero(p []byte) bool   { return len(bytes.TrimLeft(p, "\x00")) == 0 }
func isUnused(p []byte) bool { return len(bytes.TrimLeft(p, "\xff")) == 0 }

// all reports whether n bytes at off are there and ok, looked at in pieces of
// whole entries.
func (c *content) all(off, n int64, ok func([]byte) bool) bool {
	if off <= 0 || n < 0 || off > c.size-n {
		return false
	}
	for end := off + n; off < end; off += 64 << 10 {
		if !ok(c.at(off, int(min(64<<10, end-off)))) || c.err != nil {
			return false
		}
	}
	return true
}

// noGrains reports whether the grain tables of a VMDK are empty: at 56 is the
// sector of the directory that says where they are, at 44 how many entries a
// table has, at 20 how many sectors a grain.
func (c *content) noGrains() bool {
	directory, entries, grain := sectors(c.le64(56)), int64(c.le32(44)), c.le64(20)
	if entries == 0 || grain == 0 || grain > 1<<32 {
		return false
	}
	tables := c.le64(12)/(grain*uint64(entries)) + 1
	if tables > 1<<24 {
		return false
	}
	for i := range int64(tables) {
		table := sectors(uint64(c.le32(directory + i*4)))
		if table > 0 && !c.all(table, entries*4, isZero) {
			return false
		}
	}
	return directory > 0
}

// vhdxBlocks is the identifier of a VHDX file's block allocation table.
const vhdxBlocks = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"

// noBlocks reports whether no block of a VHDX has bytes in the file: none is in
// one of the states from 6 on, which the first three bits of an entry tell.
func (c *content) noBlocks() bool {
	region, ok := c.entry(vhdxRegions+16, c.le32(vhdxRegions+8), vhdxBlocks)
	return ok && c.all(length(binary.LittleEndian.Uint64(region[16:])), int64(binary.LittleEndian.Uint32(region[24:])), func(p []byte) bool {
		for ; len(p) >= 8; p = p[8:] {
			if p[0]&7 >= 6 {
				return false
			}
		}
		return true
	})
}
