package fs

import (
	"cmp"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"glancefs/fs/disk"
	"glancefs/fs/publish"
)

// load takes in the drafts that earlier mounts have left.
func (in *incoming) load() error {
	ids, err := in.clear()
	if err != nil {
		return err
	}
	type found struct {
		*draft
		at time.Time // when it was named last, or its attributes changed
	}
	var all []found
	for _, id := range ids {
		d := newDraft(in.dir, id, about{})
		at, err := d.recall()
		if errors.Is(err, iofs.ErrNotExist) && d.isEmpty() {
			d.erase() // its maker had not come further
			continue
		}
		if err != nil {
			// Its bytes are there, and that is what counts.
			in.t.log.Warn("what was known of a draft is lost", "draft", id, "err", err)
			d.about = about{Name: "." + id}
			_ = d.save(true) // or it is told again at the next start
		}
		all = append(all, found{d, at})
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Or(b.at.Compare(a.at), strings.Compare(a.id, b.id)) })
	for _, d := range all {
		in.take(d.draft)
	}
	return nil
}

// clear removes what is left of files that were being written, and of drafts
// that have become images, and returns the ids of the others. What cannot be removed
// is in nobody's way.
func (in *incoming) clear() (ids []string, err error) {
	entries, err := os.ReadDir(in.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(in.dir, e.Name())
		if id, ok := strings.CutSuffix(e.Name(), draftSuffix); ok {
			ids = append(ids, id)
			continue
		}
		if id, ok := strings.CutSuffix(path, aboutSuffix); ok {
			_, err := os.Lstat(id + draftSuffix)
			ok = errors.Is(err, iofs.ErrNotExist)
			if !ok {
				continue
			}
		} else if !strings.HasSuffix(path, disk.HalfSuffix) {
			continue
		}
		if err := os.Remove(path); err != nil {
			in.t.log.Warn("what is left of a draft is not removed", "err", err)
		}
	}
	return ids, nil
}

// isEmpty reports whether d has no bytes.
func (d *draft) isEmpty() bool {
	info, err := os.Stat(d.path())
	return err == nil && info.Size() == 0
}

// recall reads what is kept of d beside its bytes.
func (d *draft) recall() (at time.Time, err error) {
	path := filepath.Join(d.dir, d.id+aboutSuffix)
	b, err := os.ReadFile(path)
	if err != nil {
		return at, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return at, err
	}
	var a about
	if err := json.Unmarshal(b, &a); err != nil {
		return at, err
	}
	name, ok := unescapeName(a.Name)
	if !ok || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." || (name == "") == (a.Image == "") {
		return at, errors.New("it has no name")
	}
	d.about = a
	return info.ModTime(), nil
}

// take gives a draft of an earlier mount its place. Of two with one name the
// first has it.
func (in *incoming) take(d *draft) {
	a := &d.about
	d.changed = true
	if a.Tried != "" && a.Error == "" {
		a.Error = errInterrupted.Error()
	}
	if a.Image != "" {
		if a.Endpoint == in.t.service.Endpoint() && in.filling[a.Image] == nil {
			in.filling[a.Image] = d
		}
		return
	}
	name, _ := unescapeName(a.Name)
	if in.named[name] != nil {
		name = "." + d.id
		a.Name = escapeName(name)
	}
	in.named[name] = d
}

// resume looks after what was under way when an earlier mount ended.
func (in *incoming) resume() {
	attempts, err := publish.LoadAttempts(in.dir)
	if err != nil {
		in.t.log.Error("what is kept of uploads cannot be read", "err", err)
	}
	attempts = slices.DeleteFunc(attempts, func(r *publish.Attempt) bool { return r.Endpoint != in.t.service.Endpoint() })
	in.later(attempts...)
	in.mu.Lock() // those that go on take themselves out
	defer in.mu.Unlock()
	for id, d := range in.filling {
		if d.known().Tried != "" {
			in.work.Go(func() { in.refill(id, d) })
		}
	}
}
