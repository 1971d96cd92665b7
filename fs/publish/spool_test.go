package publish

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"glancefs/cache"
	"glancefs/fs/metadata"
)

// TestSpool reads as uploads do, in order, twice, and not to the end, and sums up
// the same.
func TestSpool(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcde"), 20_000)
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sha, md := sha512.Sum512(data), md5.Sum(data)
	for name, read := range map[string]func(*Spool){
		"not at all": func(*Spool) {},
		"in order": func(s *Spool) {
			for off := int64(0); off < s.Size; off += 7777 {
				s.ReadAt(make([]byte, 7777), off)
			}
		},
		"twice": func(s *Spool) {
			s.ReadAt(make([]byte, 100_000), 0)
			for off := int64(0); off < s.Size/2; off += 999 {
				s.ReadAt(make([]byte, 1999), off)
			}
		},
		"here and there": func(s *Spool) {
			s.ReadAt(make([]byte, 10), 1000)
			s.ReadAt(make([]byte, 1000), 0)
			s.ReadAt(make([]byte, 10), s.Size-5)
		},
	} {
		s, err := OpenSpool(path, metadata.DefaultHash)
		if err != nil {
			t.Fatal(err)
		}
		read(s)
		differs, err := s.matches(t.Context(),
			cache.Digest{Algo: "sha512", Value: hex.EncodeToString(sha[:])}, cache.Digest{Algo: "md5", Value: hex.EncodeToString(md[:])})
		if err != nil || differs != nil {
			t.Errorf("%s: %v, %v", name, differs, err)
		}
		if differs, _ := s.matches(t.Context(), cache.Digest{Algo: "sha256", Value: "00"}); differs == nil {
			t.Errorf("%s: it matches anything", name)
		}
		s.Close()
	}
}
