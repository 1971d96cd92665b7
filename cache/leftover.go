package cache

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A leftover is a blob of an earlier store that nobody has opened yet.
type leftover struct {
	name  string
	used  int64     // bytes on disk
	end   int64     // length of the data file
	last  time.Time // when it was last used, or its index changed
	taken bool      // it is being cut short
	gone  bool      // somebody has it open, or it is no more

	elsewhere time.Time // when its file was last found open elsewhere
}

// leftovers are those of a store. They are guarded by its mu.
type leftovers struct {
	named map[string]*leftover
	aged  []*leftover // the oldest first; what is gone stays among them until it is the oldest
}

// findLeftovers reads the directory. halves are files without their other half.
func findLeftovers(dir string) (left leftovers, halves []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return left, nil, err
	}
	files := make(map[string]os.FileInfo, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files[e.Name()] = info
		}
	}
	left.named = make(map[string]*leftover, len(files)/2)
	for file := range files {
		name, isIndex := strings.CutSuffix(file, indexSuffix)
		name = strings.TrimSuffix(name, dataSuffix)
		index, data := files[name+indexSuffix], files[name+dataSuffix]
		switch {
		case index == nil || data == nil:
			halves = append(halves, filepath.Join(dir, file))
		case isIndex:
			used := data.Sys().(*syscall.Stat_t).Blocks * 512
			l := &leftover{name: name, used: used, end: data.Size(), last: index.ModTime()}
			left.named[name] = l
			left.aged = append(left.aged, l)
		}
	}
	slices.SortFunc(left.aged, func(a, b *leftover) int { return a.last.Compare(b.last) })
	return left, halves, nil
}

// all returns them, the oldest first.
func (f *leftovers) all() []*leftover {
	return slices.DeleteFunc(slices.Clone(f.aged), func(l *leftover) bool { return l.gone })
}

// oldest returns the oldest that may be cut short and is not being so, or nil.
func (f *leftovers) oldest() *leftover {
	for len(f.aged) > 0 && f.aged[0].gone {
		f.aged = f.aged[1:]
	}
	if i := slices.IndexFunc(f.aged, func(l *leftover) bool { return !l.gone && !l.taken && !lately(l.elsewhere) }); i >= 0 {
		return f.aged[i]
	}
	return nil
}

// first makes the one of a name, if there is one, the oldest.
func (f *leftovers) first(name string) {
	l := f.named[name]
	if l == nil {
		return
	}
	if i := slices.Index(f.aged, l); i > 0 {
		f.aged = slices.Insert(slices.Delete(f.aged, i, i+1), 0, l)
	}
}

func (f *leftovers) remove(l *leftover) {
	l.gone = true
	delete(f.named, l.name)
}

// claim takes a leftover, if there is one of that name, out of the list, for
// whoever is about to load it.
func (s *Store) claim(name string) *leftover {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		l := s.left.named[name]
		if l == nil {
			return nil
		}
		if !l.taken {
			s.left.remove(l)
			s.room.used -= l.used
			return l
		}
		s.freed.Wait()
	}
}

// unclaim undoes claim for a blob of which nothing could be loaded.
func (s *Store) unclaim(l *leftover, b *Blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l == nil || b.cached > 0 {
		return
	}
	l.gone = false
	s.left.named[l.name] = l
	if !slices.Contains(s.left.aged, l) {
		s.left.aged = slices.Insert(s.left.aged, 0, l)
	}
	s.room.used += l.used
}

// evictLeftover cuts the end off the oldest leftover. Called with mu held;
// gives it up while punching.
func (s *Store) evictLeftover() bool {
	l := s.left.oldest()
	if l == nil {
		return false
	}
	l.taken = true
	s.mu.Unlock()
	used, end, err := s.cutLeftover(filepath.Join(s.dir, l.name), l.end)
	if errors.Is(err, errElsewhere) {
		s.mu.Lock()
		l.elsewhere, l.taken = time.Now(), false
		s.freed.Broadcast()
		return true
	}
	if err != nil {
		s.log.Warn("cache file not cut short; removed", "err", err)
		end = 0
	}
	if end == 0 {
		s.remove(filepath.Join(s.dir, l.name))
		used = 0 // some file systems tell of blocks for a while of which there are none
	}
	s.mu.Lock()
	s.room.used -= l.used - used
	s.stats.Evicted += l.used - used
	l.used, l.end, l.taken = used, end, false
	if end == 0 {
		s.left.remove(l)
	}
	s.freed.Broadcast()
	return true
}

// cutLeftover erases the records of the last extents of a blob of end bytes,
// then the extents. It returns what is left.
func (s *Store) cutLeftover(path string, end int64) (used, rest int64, err error) {
	data, err := os.OpenFile(path+dataSuffix, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer data.Close()
	if s.isElsewhere(data) {
		return 0, 0, errElsewhere
	}
	index, err := os.OpenFile(path+indexSuffix, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer index.Close()
	rest = max(0, (end-1)/leftoverCut*leftoverCut)
	if err := eraseRecords(index, rest/BlockSize, leftoverCut/BlockSize); err != nil {
		return 0, 0, err
	}
	if err := data.Truncate(rest); err != nil {
		return 0, 0, err
	}
	info, err := data.Stat()
	if err != nil {
		return 0, 0, err
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512, rest, nil
}
