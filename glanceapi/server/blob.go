package server

import (
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A part is data on its way into the store.
type part struct {
	path   string
	size   int64
	md5    string // hex
	sha512 string // hex
}

// receive reads data to its end into a temporary file. The caller renames it
// or discards the part. If data breaks off the part is what came before that.
func (s *store) receive(data io.Reader) (*part, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "data-*")
	if err != nil {
		return nil, err
	}
	p := &part{path: f.Name()}
	short, long := md5.New(), sha512.New()
	p.size, err = io.CopyBuffer(io.MultiWriter(f, short, long), onlyReader{data}, make([]byte, 64<<10))
	if cerr := f.Close(); cerr != nil {
		p.discard()
		return nil, cerr
	}
	p.md5 = hex.EncodeToString(short.Sum(nil))
	p.sha512 = hex.EncodeToString(long.Sum(nil))
	return p, err
}

// onlyReader hides WriteTo, which would go past the buffer.
type onlyReader struct{ io.Reader }

// discard removes the part, if there is one, unless it has been renamed.
func (p *part) discard() {
	if p != nil {
		os.Remove(p.path)
	}
}

// describe puts what is known of the data into its image's record.
func (p *part) describe(r *Record) {
	r.Size = &p.size
	r.VirtualSize = nil
	if r.DiskFormat == "raw" && p.size > 0 {
		r.VirtualSize = &p.size
	}
	r.Checksum = p.md5
	r.HashAlgo, r.HashValue = "sha512", p.sha512
}

// errIncomplete is an upload whose body broke off.
var errIncomplete = errors.New("image data did not arrive whole")

// fill makes data the data of an image, which the caller has put into the
// state saving, and the image active. If data breaks off the image is queued
// again (errIncomplete); if the image is deleted meanwhile nothing is kept
// (fs.ErrNotExist).
func (s *store) fill(id string, data io.Reader) error {
	p, err := s.receive(data)
	defer p.discard()
	if err != nil {
		return s.unfill(id, fmt.Errorf("%w: %w", errIncomplete, err))
	}
	_, err = s.update(id, func(r *Record, now time.Time) error {
		p.describe(r)
		r.Status, r.UpdatedAt = statusActive, now
		return s.moveIn(p, id)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.unfill(id, err)
	}
	return err
}

// moveIn makes a part the data of an image.
func (s *store) moveIn(p *part, id string) error { return os.Rename(p.path, s.dataPath(id)) }

// unfill undoes an upload that failed with cause, which it returns.
func (s *store) unfill(id string, cause error) error {
	_, err := s.update(id, func(r *Record, now time.Time) error {
		r.clearData()
		r.UpdatedAt = now
		return s.removeData(id)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return cause
	}
	return errors.Join(cause, err)
}

// open returns the data of an image, fs.ErrNotExist if there is none.
func (s *store) open(id string) (*os.File, error) {
	return os.Open(s.dataPath(id))
}

func (s *store) removeData(id string) error {
	err := os.Remove(s.dataPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
