package fs

import "time"

// waited is a wait in vain that a reader was told of. The kernel reads ahead first,
// and where that has failed it asks once more for the page that is wanted: that is
// the same wait, which the reader has had.
type waited struct {
	pid      int
	off, end int64
	until    time.Time
	err      error
}

// repeatWithin is how soon the kernel asks once more.
const repeatWithin = time.Second

// told notes that a read of [off, end) has waited in vain. Who reads past the page
// cache is told of each read: the next one is its own.
func (d *imageData) told(r reader, off, end int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.direct {
		d.waited = waited{r.pid, off, end, time.Now().Add(repeatWithin), err}
	}
}

// again returns the error of the wait that a read at off repeats, once; else nil.
func (d *imageData) again(r reader, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waited
	if w.err == nil || r.pid == 0 || r.pid != w.pid || off < w.off || off >= w.end || time.Now().After(w.until) {
		return nil
	}
	d.waited = waited{}
	return w.err
}
