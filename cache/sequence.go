package cache

import (
	"slices"
	"time"
)

const (
	// maxAhead bounds how far a sequence fetches ahead of its readers, in bytes.
	// A small cache bounds it further, to an eighth of its size.
	maxAhead = 64 << 20
	// minPiece is the least that is worth a stream beside others, in bytes.
	minPiece = 1 << 20
	// probePiece bounds a piece while it is being found out how many streams at
	// a time are best, unless the link carries more in the time of asking.
	probePiece = 4 << 20
	// maxSkip, or an eighth of what was read, is the most that a sequence fetches
	// in vain to go on with a reader who has skipped it. What the kernel asks for
	// comes in no strict order either.
	maxSkip = 8 << 20
	// maxSequences are remembered of a blob, so that a reader who comes back, one
	// of several, goes on as before.
	maxSequences = 16

	// A sequence nobody waits for goes on for a grace, because readers come back:
	// a short one where coming back is cheap, a longer one where it costs the
	// whole blob.
	seekGrace  = 5 * time.Second
	wholeGrace = time.Minute
)

// A sequence is the way of one reader, or of several, forward through a blob. It
// decides what is fetched for them, in pieces that it hands to its runs, and how
// many of these there are. It fetches ahead no more than has been read since it
// began, so less than half of what it ever fetches can be in vain. All of it is
// guarded by Store.mu, and all methods are called with that held.
type sequence struct {
	blob    *Blob
	begin   int64 // where it began
	next    int64 // what is before was given to runs, or was here
	want    int64 // somebody wants the bytes before
	earned  int64 // what had been wanted when want last grew
	active  int   // runs that have a piece
	waiters int   // on all of its runs
	lanes   lanes
	left    time.Time     // when the last of those went who waited
	idle    *time.Timer   // fires when nobody has waited for the grace
	more    chan struct{} // closed, and replaced, when want has grown
}

// follow returns the sequence that a read at need goes on, or a new one.
func (b *Blob) follow(need int64) *sequence {
	i := slices.IndexFunc(b.sequences, func(q *sequence) bool {
		return b.seeks != fromStart && q.next <= need && need-q.next <= min(q.earned/8, maxSkip)
	})
	if i < 0 {
		return b.begin(need)
	}
	q := b.sequences[i]
	b.sequences = slices.Insert(slices.Delete(b.sequences, i, i+1), 0, q)
	return q
}

// begin makes a sequence that starts with the block of need, or some before it
// where it costs little to have them too.
func (b *Blob) begin(need int64) *sequence {
	start := floorBlock(need)
	if b.seeks == fromStart {
		start = 0
	}
	for least := need &^ (b.store.link.grain() - 1); start > least && !b.has(start-BlockSize) && !b.coming(start-BlockSize); {
		start -= BlockSize
	}
	q := &sequence{blob: b, begin: start, next: start, lanes: lanes{most: 1}, more: make(chan struct{})}
	b.sequences = slices.Insert(b.sequences, 0, q)
	if last := len(b.sequences) - 1; last == maxSequences {
		b.sequences = slices.Delete(b.sequences, last, last+1) // its runs, if any, go on
	}
	return q
}

// raise notes that somebody wants the bytes before until.
func (q *sequence) raise(until int64) {
	if until <= q.want {
		return
	}
	q.earned, q.want = max(0, q.want-q.begin), until
	close(q.more) // all its runs, of which there are several also where none can seek any more
	q.more = make(chan struct{})
}

// ahead is how far beyond what is wanted is fetched. Where asking again costs
// little it is a part of what has been read, and nothing for less than a MiB: a
// machine that boots reads its files in such short stretches. More streams than
// two, once they have shown to be of use, need more to do.
func (q *sequence) ahead() int64 {
	near := maxGrain / q.blob.store.link.grain()
	if q.earned < near*maxGrain {
		return 0
	}
	if q.lanes.most > 2 {
		near = 1
	}
	return min(q.earned/near, maxAhead, q.blob.store.room.size/8)
}

// allowed is how many runs q may have: what has shown to be of use, and no more
// than its share, since readers of several blobs use one link.
func (q *sequence) allowed() int {
	if q.blob.seeks != seekable {
		return 1
	}
	return min(q.lanes.most, max(1, maxLanes/max(1, q.blob.store.reading)))
}

// fill starts runs for what is to be fetched now.
func (q *sequence) fill() {
	for q.active < q.allowed() {
		r := &run{blob: q.blob, sequence: q}
		if !r.take() {
			return
		}
		r.start()
	}
}

// take returns the next piece to fetch: never what is here or on its way. It is
// empty when there is none for now. Whoever takes it has it counted in active.
func (q *sequence) take() (pos, end int64) {
	b := q.blob
	if b.seeks == fromStart {
		pos, q.next = q.next, b.size
		return pos, b.size
	}
	grain := b.store.link.grain()
	limit := min(b.size, ceilBlock(max(q.want+q.ahead(), q.begin+grain)))
	for q.next < limit && (b.has(q.next) || b.coming(q.next)) {
		q.next += BlockSize
	}
	lanes := int64(q.allowed())
	piece, least := limit-q.next, max(grain, q.ahead()/2)
	if lanes > 1 {
		piece = max(minPiece, max(piece, q.ahead())/lanes)
		least = max(minPiece, q.ahead()/lanes)
	}
	if q.next >= limit || q.next >= q.want && limit-q.next < least {
		return 0, 0 // a little ahead is no stream of its own
	}
	if piece = min(piece, maxAhead); !q.lanes.settled {
		piece = min(piece, max(probePiece, b.store.link.worth()))
	}
	pos, end = q.next, q.next+BlockSize
	for stop := min(limit, ceilBlock(pos+piece)); end < stop && !b.has(end) && !b.coming(end); {
		end += BlockSize
	}
	q.next = end
	return pos, min(end, b.size)
}

// coming reports whether some run has the block at off still to fetch.
func (b *Blob) coming(off int64) bool {
	return slices.ContainsFunc(b.runs, func(r *run) bool { return r.pos < r.end && floorBlock(r.pos) <= off && off < r.end })
}

// enter counts somebody who waits.
func (q *sequence) enter() {
	if q.waiters++; q.waiters > 1 {
		return
	}
	q.blob.store.reading++
	if q.idle != nil {
		q.idle.Stop()
	}
}

// leave undoes enter. The last one to leave starts the grace.
func (q *sequence) leave() {
	if q.waiters--; q.waiters > 0 {
		return
	}
	q.blob.store.reading--
	q.left = time.Now()
	if q.active > 0 {
		grace := seekGrace
		if q.blob.seeks == fromStart {
			grace = wholeGrace
			q.blob.spare()
		}
		if q.blob.store.queued > 0 {
			grace = hurriedGrace
		}
		q.idle = time.AfterFunc(grace, q.abandon)
	}
}
