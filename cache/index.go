package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// The index file of a blob says which of its blocks are on disk. All numbers
// are little-endian, all checksums CRC-32C.
//
//	0     magic, 8 bytes, ends with the version of the format
//	8     size of the blob, 8 bytes
//	16    lengths of key, digest algorithm and digest value, 2 bytes each
//	22    key, algorithm, value
//	3580  checksum of bytes 0 to 3579, 4 bytes
//	3584  stamp: when the whole blob was last found to match its digest
//	4096  records, one a block, 8 bytes each
//
// A record is the checksum of the block and a checksum of that, the block's
// number and the key; a block without a record that fits is not there. Records
// and stamp are written one by one as things happen, in no order that matters
// and without fsync: each stands for itself, and a block is believed only when
// its bytes agree with its record.
const (
	indexMagic  = "glancef\x01"
	headerSize  = 3584
	stampOffset = headerSize
	recordsAt   = 4096
	recordSize  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errIndex = errors.New("not the index of this blob")

// A Digest is what a whole blob is checked against. Algo is one of md5, sha1,
// sha224, sha256, sha384 and sha512, or "" when nothing is known; Value is
// lower-case hex.
type Digest struct{ Algo, Value string }

// A header is the part of an index file that does not change.
type header struct {
	key    Key
	size   int64
	digest Digest
}

func (h header) encode() ([]byte, error) {
	b := make([]byte, headerSize)
	n := copy(b, indexMagic)
	binary.LittleEndian.PutUint64(b[n:], uint64(h.size))
	n += 8
	text := []string{string(h.key), h.digest.Algo, h.digest.Value}
	for _, s := range text {
		binary.LittleEndian.PutUint16(b[n:], uint16(len(s)))
		n += 2
	}
	for _, s := range text {
		if n+len(s) > headerSize-4 {
			return nil, fmt.Errorf("key and digest are longer than an index holds: %d bytes", n+len(s))
		}
		n += copy(b[n:], s)
	}
	binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b, nil
}

func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || !bytes.HasPrefix(b, []byte(indexMagic)) {
		return h, errIndex
	}
	if binary.LittleEndian.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli) {
		return h, errIndex
	}
	h.size = int64(binary.LittleEndian.Uint64(b[8:]))
	var text [3]string
	n := 22
	for i := range text {
		l := int(binary.LittleEndian.Uint16(b[16+2*i:]))
		if n+l > headerSize-4 {
			return h, errIndex
		}
		text[i] = string(b[n : n+l])
		n += l
	}
	h.key, h.digest = Key(text[0]), Digest{text[1], text[2]}
	if h.size < 0 || h.size > maxBlob {
		return h, errIndex
	}
	return h, nil
}

// salt makes the records of one blob invalid for every other.
func (k Key) salt() uint32 { return crc32.Checksum([]byte(k), castagnoli) }

// record returns the 8 bytes that say that the block of that number has the
// checksum sum.
func record(salt uint32, block int64, sum uint32) (r [recordSize]byte) {
	binary.LittleEndian.PutUint32(r[:4], sum)
	binary.LittleEndian.PutUint32(r[4:], recordCheck(salt, block, sum))
	return r
}

// recordCheck never is 0, so that a record of zeros is none.
func recordCheck(salt uint32, block int64, sum uint32) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint32(b[0:], salt)
	binary.LittleEndian.PutUint64(b[4:], uint64(block))
	binary.LittleEndian.PutUint32(b[12:], sum)
	return max(1, crc32.Checksum(b[:], castagnoli))
}

// readRecord returns the checksum of a block from its record, if that fits.
func readRecord(r []byte, salt uint32, block int64) (sum uint32, ok bool) {
	sum = binary.LittleEndian.Uint32(r[:4])
	return sum, binary.LittleEndian.Uint32(r[4:]) == recordCheck(salt, block, sum)
}

// readHeader returns the header of an open index file.
func readHeader(f io.ReaderAt) (header, error) {
	b := make([]byte, headerSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return header{}, err
	}
	return decodeHeader(b[:n])
}

// found is a block that has a record.
type found struct {
	block int64
	sum   uint32
}

// readRecords calls each with the blocks that have a record, many at a time.
func readRecords(f io.ReaderAt, h header, each func([]found)) error {
	salt, blocks := h.key.salt(), (h.size+BlockSize-1)/BlockSize
	buf := make([]byte, recordSize*min(blocks, 256*blocksPerExtent))
	for first := int64(0); first < blocks; first += int64(len(buf)) / recordSize {
		n, err := f.ReadAt(buf, recordsAt+first*recordSize)
		if err != nil && err != io.EOF {
			return err
		}
		var got []found
		for i := 0; i+recordSize <= n; i += recordSize {
			block := first + int64(i/recordSize)
			if sum, ok := readRecord(buf[i:], salt, block); ok && block < blocks {
				got = append(got, found{block, sum})
			}
		}
		each(got)
		if err == io.EOF {
			return nil
		}
	}
	return nil
}

// writeRecords records that blocks are on disk, one after the other from first, with
// these checksums.
func writeRecords(f *os.File, salt uint32, first int64, sums []uint32) error {
	b := make([]byte, 0, keepSize/BlockSize*recordSize)
	for i, sum := range sums {
		r := record(salt, first+int64(i), sum)
		b = append(b, r[:]...)
	}
	_, err := f.WriteAt(b, recordsAt+first*recordSize)
	return err
}

// eraseRecords takes back what is recorded of n blocks from first.
func eraseRecords(f *os.File, first, n int64) error {
	_, err := f.WriteAt(make([]byte, n*recordSize), recordsAt+first*recordSize)
	return err
}
