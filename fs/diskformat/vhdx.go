package diskformat

import "encoding/binary"

// Where things are in a VHDX file, by Microsoft's [MS-VHDX]: the region table
// (2.2.3) at 192 KiB says where the metadata region is, whose table (2.6.1) says
// where the items (2.6.2) are. Identifiers are GUIDs, as they lie in the file.
const (
	vhdxRegions  = 192 << 10
	vhdxMetadata = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	vhdxSize     = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	vhdxParams   = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxEntry    = 32
	vhdxEntries  = 2047 // the most a table has
)

// vhdx finds the virtual size, and the flag (bit 1 of the file parameters' second
// word) that says that the disk has a parent.
func vhdx(c *content) (Format, error) {
	if !c.has(0, "vhdxfile") {
		return Format{}, nil
	}
	f := Format{Disk: "vhdx"}
	if !c.has(vhdxRegions, "regi") {
		return f, nil
	}
	region, ok := c.entry(vhdxRegions+16, c.le32(vhdxRegions+8), vhdxMetadata)
	if !ok {
		return f, nil
	}
	table := length(binary.LittleEndian.Uint64(region[16:]))
	if !c.has(table, "metadata") {
		return f, nil
	}
	items := uint32(binary.LittleEndian.Uint16(c.at(table+10, 2)))
	if item, ok := c.entry(table+32, items, vhdxParams); ok && c.le32(table+itemOffset(item)+4)&(1<<1) != 0 {
		return Format{}, needs("vhdx", "a parent")
	}
	if item, ok := c.entry(table+32, items, vhdxSize); ok {
		f.Virtual = length(c.le64(table + itemOffset(item)))
	}
	return f, nil
}

// itemOffset is where a metadata item is, within its region.
func itemOffset(entry []byte) int64 { return int64(binary.LittleEndian.Uint32(entry[16:])) }

// entry finds the entry of a table of n that begins with an identifier.
func (c *content) entry(table int64, n uint32, id string) ([]byte, bool) {
	for i := range int64(min(n, vhdxEntries)) {
		if e := c.at(table+i*vhdxEntry, vhdxEntry); string(e[:len(id)]) == id {
			return e, true
		}
	}
	return nil, false
}
