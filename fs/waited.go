package fs

import "time"

// waited is a wait in vain that a reader was told of. The kernel reads ahead first,
// and where that has failed it asks once more for the page that is wanted: that is
// the same wait, which the reader has had. So have those who wanted the page too:
// the kernel had them wait for the first, and asks for one after the other now.
type waited struct {
	pid      int
	off, end int64
	at       time.Time
	repeated bool // its reader has been told again
	err      error
}

const (
	// repeatWithin is how soon the kernel asks once more.
	repeatWithin = time.Second
	// queueWithin is how soon it asks for all who wanted the page.
	queueWithin = 200 * time.Millisecond
)

// told notes that a read of [off, end) has waited in vain. Who reads past the page
// cache is told of each read: the next one is its own.
func (d *imageData) told(r reader, off, end int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.direct {
		d.waited = waited{r.pid, off, end, time.Now(), false, err}
	}
}

// again returns the error of the wait that a read of [off, end) repeats, to the
// reader who was told of it once; else nil. What is here by now, or was and is only
// what the kernel has read ahead of, needs no wait.
func (d *imageData) again(r reader, off, end int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.waited
	if w.err == nil || r.pid == 0 || off < w.off || off >= w.end || d.blob != nil && d.blob.Has(off, end) {
		return nil
	}
	since := time.Since(w.at)
	switch {
	case r.pid != w.pid && since < queueWithin:
		return w.err
	case r.pid == w.pid && since < repeatWithin && !w.repeated:
		w.repeated = true
		return w.err
	}
	return nil
}
