package diskformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// patch is bytes at an offset.
type patch struct {
	at    int
	bytes string
}

// patched is n zeros with patches.
func patched(n int, patches ...patch) []byte {
	b := make([]byte, n)
	for _, p := range patches {
		copy(b[p.at:], p.bytes)
	}
	return b
}

func le(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }
func be(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// footer is that of a VHD.
func footer(size uint64, kind string) string {
	f := patched(512, patch{0, "conectix"}, patch{16, be(512)}, patch{48, be(size)}, patch{60, kind})
	var sum uint32
	for _, b := range f {
		sum += uint32(b)
	}
	binary.BigEndian.PutUint32(f[64:], ^sum)
	return string(f)
}

// vhdxOf is a VHDX with a metadata table of two items, at 1 MiB.
func vhdxOf(size uint64, flags string) []byte {
	return patched(1<<20+4096, patch{0, "vhdxfile"},
		patch{vhdxRegions, "regi"}, patch{vhdxRegions + 8, "\x01"}, patch{vhdxRegions + 16, vhdxMetadata + le(1<<20)},
		patch{1 << 20, "metadata"}, patch{1<<20 + 10, "\x02"},
		patch{1<<20 + 32, vhdxParams + "\x00\x02"}, patch{1<<20 + 64, vhdxSize + "\x08\x02"},
		patch{1<<20 + 516, flags}, patch{1<<20 + 520, le(size)})
}

func TestSniff(t *testing.T) {
	const size = 5 << 30
	gpt := patch{510, "\x55\xaaEFI PART"}
	for name, c := range map[string]struct {
		data []byte
		want Format
	}{
		"nothing":          {nil, Format{"raw", 0}},
		"a byte":           {[]byte("Q"), Format{"raw", 1}},
		"zeros":            {patched(1 << 20), Format{"raw", 1 << 20}},
		"GPT":              {patched(1<<20, gpt), Format{"raw", 1 << 20}},
		"qcow2 version 2":  {patched(512, patch{0, "QFI\xfb\x00\x00\x00\x02"}, patch{24, be(size)}, patch{72, be(4)}), Format{"qcow2", size}},
		"qcow2 version 3":  {patched(512, patch{0, "QFI\xfb\x00\x00\x00\x03"}, patch{24, be(size)}, patch{72, be(1)}), Format{"qcow2", size}},
		"qcow2 cut off":    {[]byte("QFI\xfb\x00\x00\x00\x03"), Format{"qcow2", 8}},
		"vmdk":             {patched(4096, patch{0, "KDMV"}, patch{12, le(size / 512)}, patch{28, le(1)}, patch{36, le(2)}, patch{512, "CID=1\nparentCID=ffffffff\n"}), Format{"vmdk", size}},
		"vmdk, impossible": {patched(512, patch{0, "KDMV"}, patch{12, le(1 << 60)}, patch{28, le(1 << 63)}, patch{36, le(1 << 63)}), Format{"vmdk", 512}},
		"vhdx":             {vhdxOf(size, "\x00"), Format{"vhdx", size}},
		"vhdx, empty":      {patched(512, patch{0, "vhdxfile"}), Format{"vhdx", 512}},
		"vdi":              {patched(512, patch{0, "<<< "}, patch{64, "\x7f\x10\xda\xbe"}, patch{76, "\x01"}, patch{368, le(size)}), Format{"vdi", size}},
		"ploop":            {patched(512, patch{0, "WithouFreSpacExt"}, patch{36, le(size / 512)}), Format{"ploop", size}},
		"ploop, old":       {patched(512, patch{0, "WithoutFreeSpace"}, patch{36, "\x00\x01\x00\x00\xff"}), Format{"ploop", 256 * 512}},
		"luks 1":           {patched(1<<20, patch{0, "LUKS\xba\xbe\x00\x01"}, patch{104, "\x00\x00\x00\x08"}), Format{"luks", 1<<20 - 8*512}},
		"luks 2":           {patched(1<<20, patch{0, "LUKS\xba\xbe\x00\x02"}), Format{"luks", 1 << 20}},
		"vhd, fixed":       {append(patched(1<<20, gpt), footer(1<<20, "\x00\x00\x00\x02")...), Format{"vhd", 1 << 20}},
		"vhd, dynamic":     {[]byte(footer(size, "\x00\x00\x00\x03") + strings.Repeat("x", 600)), Format{"vhd", size}},
		"vhd, 511 bytes":   {append(patched(1000), footer(1000, "\x00\x00\x00\x02")[:511]...), Format{"vhd", 1000}},
		"vhd, not quite":   {append(patched(1000), patched(512, patch{0, "conectix"})...), Format{"raw", 1512}},
		"iso":              {patched(40<<10, gpt, patch{0x8001, "CD001"}), Format{"iso", 40 << 10}},
		"iso, cut off":     {patched(0x8001+4, patch{0x8001, "CD001"}), Format{"raw", 0x8001 + 4}},
	} {
		got, err := Sniff(bytes.NewReader(c.data), int64(len(c.data)))
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// TestSniffRefuses gives images that need another file.
func TestSniffRefuses(t *testing.T) {
	for name, data := range map[string][]byte{
		"a backing file":          patched(512, patch{0, "QFI\xfb\x00\x00\x00\x02"}, patch{8, be(104)}),
		"an external data file":   patched(512, patch{0, "QFI\xfb\x00\x00\x00\x03"}, patch{72, be(4)}),
		"qcow version 1":          patched(512, patch{0, "QFI\xfb\x00\x00\x00\x01"}),
		"its data in other files": []byte("# Disk DescriptorFile\nRW 20480 FLAT \"/etc/shadow\" 0\n"),
		"vmdk image with a parent": patched(4096, patch{0, "KDMV"}, patch{28, le(1)}, patch{36, le(2)},
			patch{512, "CID=1\nparentCID=0f0f0f0f\n"}),
		"vhd image with a parent":  []byte(footer(1<<20, "\x00\x00\x00\x04")),
		"vdi image with a parent":  patched(512, patch{0, "<<< "}, patch{64, "\x7f\x10\xda\xbe"}, patch{76, "\x04"}),
		"vhdx image with a parent": vhdxOf(1<<20, "\x02"),
	} {
		got, err := Sniff(bytes.NewReader(data), int64(len(data)))
		if !errors.Is(err, iofs.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

type brokenDisk struct{}

func (brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is broken") }

func TestSniffTellsErrors(t *testing.T) {
	if got, err := Sniff(brokenDisk{}, 1<<20); err == nil || !strings.Contains(err.Error(), "the disk is broken") {
		t.Errorf("%v, %v", got, err)
	}
}

// counting counts what is read.
type counting struct {
	*bytes.Reader
	read int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.read += len(p)
	return c.Reader.ReadAt(p, off)
}

// FuzzSniff: whatever the bytes are, there is an answer, a format of the Images
// API with a size, for little reading.
func FuzzSniff(f *testing.F) {
	image := vhdxOf(1<<20, "\x00")
	f.Add(image[:8], vhdxRegions, image[vhdxRegions:vhdxRegions+64], 1<<20, image[1<<20:])
	f.Add([]byte("KDMV"), 28, []byte(le(1)+le(2)), 512, []byte("parentCID="))
	f.Add([]byte(footer(1<<20, "\x00\x00\x00\x03")), 0x8001, []byte("CD001"), 2<<20-512, []byte(footer(1, "\x00\x00\x00\x02")))
	f.Fuzz(func(t *testing.T, head []byte, at1 int, part1 []byte, at2 int, part2 []byte) {
		const size = 2 << 20
		data := patched(size, patch{0, string(head)}, patch{at1 & (size - 1), string(part1)}, patch{at2 & (size - 1), string(part2)})
		c := &counting{Reader: bytes.NewReader(data)}
		got, err := Sniff(c, size)
		switch {
		case err != nil && !errors.Is(err, iofs.ErrInvalid):
			t.Errorf("error %v", err)
		case err == nil && (got.Disk == "" || got.Virtual < 0):
			t.Errorf("%+v", got)
		case c.read > 512<<10:
			t.Errorf("%d bytes read", c.read)
		}
	})
}

// TestBlank: an image without data is told from one with some.
func TestBlank(t *testing.T) {
	const size = 1 << 20
	raw := func(data string) []byte { return patched(size, patch{0, data}) }
	qcow2 := func(l1 string) []byte {
		return patched(4096, patch{0, "QFI\xfb\x00\x00\x00\x03"}, patch{36, "\x00\x00\x00\x02"}, patch{40, be(1024)}, patch{1024, l1})
	}
	vmdk := func(grain string) []byte {
		return patched(8192, patch{0, "KDMV"}, patch{12, le(100)}, patch{20, le(128)}, patch{44, "\x00\x02"}, patch{56, le(4)},
			patch{4 * 512, "\x05"}, patch{5*512 + 2044, grain})
	}
	vhdx := func(state string) []byte {
		b := vhdxOf(1<<20, "\x00")
		return patched(len(b), patch{0, string(b)}, patch{vhdxRegions + 8, "\x02"},
			patch{vhdxRegions + 48, vhdxBlocks + le(2048) + "\x10"}, patch{2048 + 8, state})
	}
	vdi := func(blocks string) []byte {
		return patched(512, patch{0, "<<< "}, patch{64, "\x7f\x10\xda\xbe"}, patch{76, "\x01"}, patch{388, blocks})
	}
	ploop := func(block string) []byte {
		return patched(512, patch{0, "WithouFreSpacExt"}, patch{32, "\x10"}, patch{64, block})
	}
	vhd := func(block string) []byte {
		return patched(4096, patch{0, footer(size, "\x00\x00\x00\x03")}, patch{512, "cxsparse"}, patch{528, be(1024)},
			patch{540, "\x00\x00\x00\x02"}, patch{1024, "\xff\xff\xff\xff" + block}, patch{4096 - 512, footer(size, "\x00\x00\x00\x03")})
	}
	fixed := func(data string) []byte { // a vdi
		return patched(size, patch{0, "<<< "}, patch{64, "\x7f\x10\xda\xbe"}, patch{76, "\x02"}, patch{344, "\x00\x20"}, patch{8192, data})
	}
	luks := func(data string) []byte {
		return patched(size, patch{0, "LUKS\xba\xbe\x00\x01"}, patch{104, "\x00\x00\x00\x10"}, patch{4096, "keys"}, patch{8192, data})
	}
	for name, c := range map[string]struct {
		disk        string
		blank, full []byte
	}{
		"raw":   {"raw", raw(""), raw("x")},
		"qcow2": {"qcow2", qcow2(""), qcow2("\x00\x00\x00\x00\x00\x00\x00\x00\x80")},
		"vmdk":  {"vmdk", vmdk(""), vmdk("\x01")},
		"vhdx":  {"vhdx", vhdx("\x02"), vhdx("\x06")},
		"vdi":   {"vdi", vdi(""), vdi("\x01")},
		"ploop": {"ploop", ploop(""), ploop("\x01")},
		"fixed": {"vdi", fixed(""), fixed("x")},
		"luks":  {"luks", luks(""), luks("x")},
		"vhd":   {"vhd", vhd("\xff\xff\xff\xff"), vhd("\x00\x00\x00\x09")},
	} {
		for data, want := range map[*[]byte]bool{&c.blank: true, &c.full: false} {
			f := sparse(t, *data)
			got, err := IsBlank(f, int64(len(*data)), Format{Disk: c.disk})
			if err != nil || got != want {
				t.Errorf("%s: %t, %v, want %t", name, got, err, want)
			}
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "zeros"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write(make([]byte, 8192))
	if got, err := IsBlank(f, 8192, Format{Disk: "raw"}); err != nil || got {
		t.Errorf("zeros, all of them written: %t, %v", got, err)
	}
}

// sparse is a file with data, and holes where pages of that are zeros.
func sparse(t *testing.T, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(len(data))); err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(data); off += 4096 {
		if page := data[off:min(off+4096, len(data))]; off == 0 || !isZero(page) {
			f.WriteAt(page, int64(off))
		}
	}
	return f
}
