package cache

import "time"

const (
	// maxWindow bounds how far a run fetches ahead of its readers. A run only
	// gets there by doubling, so less than half of what it ever fetched for
	// one sequential reader can have been in vain.
	maxWindow = 64 << 20
	// wholeAhead is how far ahead of its readers a stream is read that cannot
	// be had from anywhere but the start: giving it up costs everything again.
	wholeAhead = 64 << 20

	// A run nobody waits for goes on for a grace, because readers come back:
	// a short one where coming back is cheap, a longer one where it costs the
	// whole blob.
	seekGrace  = 5 * time.Second
	wholeGrace = time.Minute
)

// seekability is what is known of a blob's source.
type seekability int

const (
	unproven  seekability = iota // one stream at a time, until one has shown it
	seekable                     // streams start and end where asked
	fromStart                    // every stream is the whole blob
)

// judge tells from one answer to a request for [off, off+n) what the source of
// a blob of that size can do; old is what was known before.
func judge(old seekability, st Stream, off, n, size int64) seekability {
	switch {
	case st.Start < off || st.End > off+n:
		return fromStart
	case n < size:
		return seekable
	default:
		return old // the whole was asked for, and came
	}
}

// A tail is where a run stopped, and how much its last stream carried.
type tail struct{ pos, length int64 }

// tails remember the latest runs of a blob, so that a reader who follows on
// after one, one of several, gets a longer stream than one who jumps.
type tails [16]tail

// add remembers the end of a run, and forgets the oldest.
func (t *tails) add(pos, length int64) {
	copy(t[1:], t[:len(t)-1])
	t[0] = tail{pos, length}
}

// follow takes the tail that a read at pos continues, and returns the window
// it has earned: twice the last one, or 0 when pos continues nothing.
func (t *tails) follow(pos int64) int64 {
	for i, l := range t {
		if l.length > 0 && l.pos <= pos && pos <= l.pos+l.length {
			t[i] = tail{}
			return min(2*l.length, maxWindow)
		}
	}
	return 0
}
