package fs

import (
	iofs "io/fs"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxScratch is how many files editors may have beside meta.json, of all
	// images together; none may have more than maxText bytes. A script that edits
	// many images at once has some for each.
	maxScratch = 256
	// scratchLife is how long one is kept that nobody touches.
	scratchLife = time.Hour
)

// A scratchpad holds the files that editors make beside what they edit: copies,
// new versions, locks. They are in memory only, and mean nothing unless they are
// renamed to the file.
type scratchpad struct {
	mu     sync.Mutex
	of     map[string]map[string]*scratch // by image and name
	n      int
	serial uint64
}

// A scratch is one of them.
type scratch struct {
	serial uint64

	mu      sync.Mutex
	text    []byte
	writer  process // the last one
	touched time.Time
	opens   int
}

func (s *scratch) identity() identity {
	return identity{"scratch", strconv.FormatUint(s.serial, 10)}
}

// find returns a file of an image.
func (p *scratchpad) find(image, name string) *scratch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[image][name]
}

// list returns the files of an image by their names.
func (p *scratchpad) list(image string) map[string]*scratch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidy()
	return maps.Clone(p.of[image])
}

// add makes a file in place of what had its name.
func (p *scratchpad) add(image, name string, by process, text []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tidy()
	if p.n >= maxScratch {
		return errTooMany
	}
	p.serial++
	p.put(image, name, &scratch{serial: p.serial, text: text, writer: by, touched: time.Now()})
	return nil
}

// put gives a file a name. Called with mu held.
func (p *scratchpad) put(image, name string, s *scratch) {
	p.drop(image, name)
	if p.of == nil {
		p.of = make(map[string]map[string]*scratch)
	}
	if p.of[image] == nil {
		p.of[image] = make(map[string]*scratch)
	}
	p.of[image][name] = s
	p.n++
}

// drop takes a name away. Called with mu held.
func (p *scratchpad) drop(image, name string) {
	if p.of[image][name] == nil {
		return
	}
	p.n--
	if delete(p.of[image], name); len(p.of[image]) == 0 {
		delete(p.of, image)
	}
}

// remove takes a file's name away, if it is still that file's.
func (p *scratchpad) remove(image, name string, s *scratch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[image][name] == s {
		p.drop(image, name)
	}
}

// rename gives a file another name.
func (p *scratchpad) rename(image, old, name string, s *scratch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[image][old] != s {
		return iofs.ErrNotExist
	}
	p.drop(image, old)
	p.put(image, name, s)
	return nil
}

// tidy forgets files that were left behind. Called with mu held.
func (p *scratchpad) tidy() {
	for image, files := range p.of {
		for name, s := range files {
			s.mu.Lock()
			left := s.opens == 0 && time.Since(s.touched) > scratchLife
			s.mu.Unlock()
			if left {
				p.drop(image, name)
			}
		}
	}
}

// content returns what is in the file and who has written it.
func (s *scratch) content() ([]byte, process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.text), s.writer
}
