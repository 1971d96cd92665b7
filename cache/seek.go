package cache

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
