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
// # Sequences and runs
//
// Missing bytes arrive by runs. A run is one goroutine that fetches a piece of a
// blob forward from a block boundary, then another. The pieces come from a
// sequence, which is the way of one reader forward through the blob, or of
// several who read the same: it decides how far ahead is fetched, and by how many
// runs at a time. Readers never fetch: they wait for the run that has their bytes
// to bring, or for one that is started for them, until those have passed. Runs
// belong to the store, not to the reader who started them, so a reader may leave
// at any moment without harm to the others. A block is never within the pieces of
// two runs.
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
