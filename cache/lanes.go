package cache

import "time"

// maxLanes bounds the streams that fetch at a time for one sequence, and for all
// that are waited for together.
const maxLanes = 8

// lanes find out how many streams at a time bring a sequence the most. Twice as
// many are tried for as long as all together then bring a third more: where each
// connection is slow by itself they do; where the link, the service, this machine
// or the reader is the bound they do not.
type lanes struct {
	most    int // streams at a time, for now
	settled bool
	rate    float64   // bytes a second when there were half as many; 0 before that
	since   time.Time // when the first piece was asked for that counts for now
	bytes   int64     // of pieces asked for since then
	pieces  int
}

// carried takes in that a piece of n bytes, which was asked for at begun when
// there were to be so many streams, has come by now.
func (l *lanes) carried(streams int, n int64, begun, now time.Time) {
	if l.settled || streams != l.most || n < minPiece {
		return
	}
	if l.pieces == 0 {
		l.since = begun
	}
	l.bytes += n
	if l.pieces++; l.pieces < 2*streams {
		return
	}
	rate := float64(l.bytes) / now.Sub(l.since).Seconds()
	l.bytes, l.pieces = 0, 0
	switch {
	case l.rate > 0 && rate < l.rate*4/3:
		l.most, l.settled = l.most/2, true
	case l.most == maxLanes:
		l.settled = true
	default:
		l.most, l.rate = 2*l.most, rate
	}
}

// A link is what is known of the way to the sources, which all blobs of a store
// share. It is guarded by Store.mu.
type link struct {
	latency time.Duration // until a stream opens
	rate    float64       // bytes a second that a stream then brings
}

// maxGrain bounds what is fetched where a single byte is asked for, in bytes. Of
// what a machine reads while it boots, a quarter more is fetched with this one
// than by blocks, and twice as much with 1 MiB.
const maxGrain = 256 << 10

// grainLatency is the latency at which a block is the right grain: in 5 ms, half
// of what reading a block costs with a disk, nobody notices a second request.
const grainLatency = 5 * time.Millisecond

// opened takes in that a stream took so long to open.
func (l *link) opened(took time.Duration) {
	if l.latency == 0 {
		l.latency = took
	}
	l.latency += (took - l.latency) / 8
}

// carried takes in that a stream, once open, brought n bytes.
func (l *link) carried(n int64, took time.Duration) {
	rate := float64(n) / max(took, time.Microsecond).Seconds()
	if l.rate == 0 {
		l.rate = rate
	}
	l.rate += (rate - l.rate) / 8
}

// worth is how many bytes a stream carries in the time that one takes to open.
func (l *link) worth() int64 { return int64(l.latency.Seconds() * l.rate) }

// grain is the least to fetch at a time, a power of two: more than a block where
// asking takes long, but no more than comes in half of that time.
func (l *link) grain() int64 {
	worth := min(float64(l.latency)/float64(grainLatency)*BlockSize, float64(l.worth())/2)
	grain := int64(BlockSize)
	for grain < maxGrain && float64(2*grain) <= worth {
		grain *= 2
	}
	return grain
}
