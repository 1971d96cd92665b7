package server

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A store keeps images in a directory: images/ID.json for each record,
// data/ID for its bytes, tmp for what is not finished. A deleted image leaves
// its record behind, so that its id is never used again. All records are in
// memory as well.
type store struct {
	dir string

	mu     sync.RWMutex
	images map[string]*Record   // never changed in place, only replaced
	last   time.Time            // the last time handed out by now
	number int                  // the greatest id that is a number
	sorted map[string][]*Record // all images, by the order they are in; dropped with every change
}

func openStore(dir string) (*store, error) {
	s := &store{dir: dir, images: map[string]*Record{}}
	if err := os.RemoveAll(filepath.Join(dir, "tmp")); err != nil {
		return nil, err
	}
	for _, sub := range []string{"images", "data", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, "images"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !isID(id) {
			continue
		}
		if err := s.load(id); err != nil {
			return nil, fmt.Errorf("record %s: %w", e.Name(), err)
		}
	}
	return s, nil
}

// diskRecord is a record's form on disk. JSON cannot hold a name that is not
// UTF-8, so such a name has a field of its own.
type diskRecord struct {
	*Record
	RawName []byte `json:"raw_name,omitempty"`
}

func (s *store) load(id string) error {
	b, err := os.ReadFile(s.recordPath(id))
	if err != nil {
		return err
	}
	d := diskRecord{Record: &Record{}}
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	if d.ID != id {
		return fmt.Errorf("it is of image %q", d.ID)
	}
	if d.RawName != nil {
		d.Name = new(string(d.RawName))
	}
	if d.Status == statusSaving {
		d.clearData()
		if err := s.removeData(id); err != nil {
			return err
		}
		if err := s.save(d.Record); err != nil {
			return err
		}
	}
	s.images[id] = d.Record
	s.count(id)
	return nil
}

// count remembers the greatest number among the ids. The caller holds mu, or
// is alone.
func (s *store) count(id string) {
	if n, err := strconv.Atoi(id); err == nil {
		s.number = max(s.number, n)
	}
}

func (s *store) recordPath(id string) string { return filepath.Join(s.dir, "images", id+".json") }
func (s *store) dataPath(id string) string   { return filepath.Join(s.dir, "data", id) }

// save writes a record to disk, whole or not at all.
func (s *store) save(rec *Record) error {
	d := diskRecord{Record: rec}
	if rec.Name != nil && !utf8.ValidString(*rec.Name) {
		d.RawName = []byte(*rec.Name)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.dir, "tmp", rec.ID+".json")
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, s.recordPath(rec.ID))
}

// now returns the time, cut to the microsecond and later than any it has
// returned before, so that images made in one go have an order. The caller
// holds mu.
func (s *store) now() time.Time {
	t := time.Now().UTC().Truncate(time.Microsecond)
	if !t.After(s.last) {
		t = s.last.Add(time.Microsecond)
	}
	s.last = t
	return t
}

// get returns the image's record, which must not be changed, unless there is
// no such image or it is deleted.
func (s *store) get(id string) (*Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rec, ok := s.images[id]
	if !ok || rec.Status == statusDeleted {
		return nil, false
	}
	return rec, true
}

// deleted returns what is left of an image that is deleted.
func (s *store) deleted(id string) (*Record, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rec, ok := s.images[id]
	return rec, ok && rec.Status == statusDeleted
}

// ordered returns what there is of every image, in the order o; the deleted ones
// are there as well. Neither the slice nor the records must be changed.
func (s *store) ordered(o order) []*Record {
	key := fmt.Sprint(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if all, ok := s.sorted[key]; ok {
		return all
	}
	all := slices.SortedFunc(maps.Values(s.images), o.compare)
	if s.sorted == nil {
		s.sorted = map[string][]*Record{}
	}
	s.sorted[key] = all
	return all
}

// page returns the first limit images behind after, nil for the start, that
// keep selects.
func (s *store) page(o order, after *Record, limit int, keep filter) []*Record {
	all := s.ordered(o)
	if after != nil {
		n, _ := slices.BinarySearchFunc(all, after, func(r, after *Record) int {
			if o.compare(r, after) <= 0 {
				return -1
			}
			return 1
		})
		all = all[n:]
	}
	var page []*Record
	for _, r := range all {
		if len(page) == limit {
			break
		}
		if keep(r) {
			page = append(page, r)
		}
	}
	return page
}

// insert keeps a new record, filling in what Server.Add says, and its data if
// p is not nil. An id that an image has or had is fs.ErrExist; without one it
// becomes the next number.
func (s *store) insert(rec Record, p *part) (*Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec.ID == "" {
		rec.ID = strconv.Itoa(s.number + 1)
	}
	if _, ok := s.images[rec.ID]; ok {
		return nil, fs.ErrExist
	}
	r := rec.clone()
	if r.CreatedAt.IsZero() {
		r.CreatedAt = s.now()
	}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = r.CreatedAt
	}
	r.CreatedAt = r.CreatedAt.UTC().Truncate(time.Microsecond)
	r.UpdatedAt = r.UpdatedAt.UTC().Truncate(time.Microsecond)
	r.Status = cmp.Or(r.Status, statusQueued)
	r.Visibility = cmp.Or(r.Visibility, visibilityShared)
	if p != nil {
		if err := os.Rename(p.path, s.dataPath(r.ID)); err != nil {
			return nil, err
		}
	}
	if err := s.save(r); err != nil {
		return nil, err
	}
	s.keep(r)
	s.count(r.ID)
	return r, nil
}

// keep makes r the record of its image. The caller holds mu.
func (s *store) keep(r *Record) {
	s.images[r.ID] = r
	s.sorted = nil
}

// update lets change alter a copy of the image's record and keeps the copy
// unless change fails. No other update runs meanwhile. Now is for what change
// puts in time fields. An image that is not there gives fs.ErrNotExist.
func (s *store) update(id string, change func(r *Record, now time.Time) error) (*Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.images[id]
	if !ok || old.Status == statusDeleted {
		return nil, fs.ErrNotExist
	}
	r := old.clone()
	if err := change(r, s.now()); err != nil {
		return nil, err
	}
	if err := s.save(r); err != nil {
		return nil, err
	}
	s.keep(r)
	return r, nil
}

// remove deletes the image unless check, which sees it as it is then, objects.
// Its data lives on for whoever has it open.
func (s *store) remove(id string, check func(*Record) error) error {
	_, err := s.update(id, func(r *Record, now time.Time) error {
		if err := check(r); err != nil {
			return err
		}
		*r = Record{ID: r.ID, Name: r.Name, Status: statusDeleted, Visibility: r.Visibility, Owner: r.Owner, CreatedAt: r.CreatedAt, UpdatedAt: now}
		return nil
	})
	if err != nil {
		return err
	}
	return s.removeData(id)
}

// add is Server.Add for an id that is valid or "".
func (s *store) add(rec Record, data io.Reader) (*Record, error) {
	if data == nil {
		return s.insert(rec, nil)
	}
	part, err := s.receive(data)
	defer part.discard()
	if err != nil {
		return nil, err
	}
	part.describe(&rec)
	rec.Status = cmp.Or(rec.Status, statusActive)
	return s.insert(rec, part)
}
