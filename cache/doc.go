// Package cache keeps the bytes of immutable blobs on local disk and fetches
// what is missing, once. It knows sizes, offsets and sources; it does not know
// what a blob is, how a source reaches it, or who reads.
//
// # Layout
//
// A blob is one sparse file and one index file. Presence and a checksum are
// kept per block (64 KiB, the least that is fetched); eviction works on
// extents (4 MiB), in one LRU over all blobs, by punching holes. Nothing
// depends on the order in which writes reach the disk: a block is believed
// only when its bytes agree with its record, each time it is read from the
// disk, and a whole blob only when it has been hashed since the machine booted
// and its file has not been written to since.
//
// # Runs
//
// Missing bytes arrive by runs. A run is one goroutine that fetches a blob
// forward from a block boundary, stream after stream, for as long as somebody
// wants what lies ahead. Readers never fetch: they join a run or start one,
// and wait until their bytes have passed. A run belongs to the store, not to
// the reader who started it, so a reader may leave at any moment without harm
// to the others.
//
// # Locking
//
// Store.mu guards everything that is known about presence, runs and eviction;
// it is never held while bytes move or a source is asked. What I/O needs
// meanwhile is protected by pins: an extent with pins is not evicted. The interleaving
// that matters is a hole punched under a writer: an extent is marked as being
// punched under the lock, the hole is punched without it, and whoever wants to
// write there waits for the mark to go (extent.punching). Readers need not
// wait, since the presence bits go together with the mark.
package cache
