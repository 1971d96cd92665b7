package fs

import (
	"os"
	"slices"
	"strings"
)

// UploadStatus is how one draft is doing.
type UploadStatus struct {
	Name  string  `json:"name"`
	State string  `json:"state"`      // draft, waiting, uploading, checking, failed
	Size  int64   `json:"size_bytes"` // of the draft
	Sent  int64   `json:"sent_bytes"`
	Error *string `json:"error"`
}

// status tells of all drafts.
func (in *incoming) status() []UploadStatus {
	in.mu.Lock()
	all := make(map[string]*draft, len(in.named)+len(in.filling))
	for name, d := range in.named {
		all[name] = d
	}
	for id, d := range in.filling {
		all["images/"+id+"/data"] = d
	}
	in.mu.Unlock()
	list := []UploadStatus{}
	for name, d := range all {
		list = append(list, d.status(name))
	}
	slices.SortFunc(list, func(a, b UploadStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (d *draft) status(name string) UploadStatus {
	info, err := os.Stat(d.path())
	d.mu.Lock()
	defer d.mu.Unlock()
	s := UploadStatus{Name: name, State: "draft"}
	switch {
	case d.fixed != nil:
		s.Size = d.fixed.Size()
	case err == nil:
		s.Size = info.Size()
	}
	switch {
	case d.up != nil:
		s.State, s.Sent = d.up.stage.Load().(string), d.up.sent.Load()
	case d.about.Error != "":
		s.State, s.Error = "failed", new(d.about.Error)
	}
	return s
}

// tally counts uploads since the mount.
type tally struct {
	done, failed int64
	bytes        int64 // of those that are done
}

func (in *incoming) count() tally {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.tally
}

func (t *tally) through(size int64) { t.done, t.bytes = t.done+1, t.bytes+size }
