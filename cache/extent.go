package cache

import "slices"

// An extent is what is known about ExtentSize bytes of a blob. Its fields are
// guarded by Store.mu. It takes some 350 bytes: 84 MiB for a cache of 1 TiB.
type extent struct {
	blob     *Blob
	index    int64                   // it starts at index*ExtentSize
	present  uint64                  // bit i: block i is here, whole
	lost     uint32                  // how often blocks ceased to be
	sums     [blocksPerExtent]uint32 // of the present blocks, CRC-32C
	memory   []held                  // present blocks that are not on disk, or not yet
	pins     int                     // readers and runs that need it where it is
	punching bool                    // a hole is being punched; nothing may be written

	distrusted bool // the disk spoils what is written here
}

// slot is the number, within its extent, of the block at off.
func slot(off int64) int64 { return off / BlockSize % blocksPerExtent }

func floorBlock(off int64) int64 { return off &^ (BlockSize - 1) }

func ceilBlock(off int64) int64 { return floorBlock(off + BlockSize - 1) }

// pin returns the extent of the byte at off and keeps it from being evicted
// until unpin. Called with mu held.
func (b *Blob) pin(off int64) *extent {
	e := b.extent(off)
	e.pins++
	return e
}

func (b *Blob) extent(off int64) *extent {
	i := off / ExtentSize
	e := b.extents[i]
	if e == nil {
		e = &extent{blob: b, index: i}
		b.extents[i] = e
	}
	return e
}

// unpin undoes pin. Blocks that only memory holds go with the last one who
// needs them. Called with mu held.
func (e *extent) unpin() {
	e.pins--
	if e.pins == 0 && len(e.memory) > 0 {
		for _, h := range e.memory {
			e.lose(h.start)
		}
		e.letGo()
	}
	e.release()
}

// hold keeps a present block in memory until drop, letGo or the last unpin.
// Called with mu held.
func (e *extent) hold(h held) {
	h.buf.users++
	e.memory = append(e.memory, h)
	e.blob.held++
}

// drop undoes hold, if that was not done. Called with mu held.
func (e *extent) drop(h held) {
	if i := slices.Index(e.memory, h); i >= 0 {
		e.memory = slices.Delete(e.memory, i, i+1)
		e.blob.held--
		e.blob.store.giveBack(h.buf)
	}
}

// letGo undoes every hold. Called with mu held.
func (e *extent) letGo() {
	for len(e.memory) > 0 {
		e.drop(e.memory[0])
	}
}

// release forgets an extent that says nothing. Called with mu held.
func (e *extent) release() {
	if e.pins == 0 && e.present == 0 && !e.punching {
		delete(e.blob.extents, e.index)
	}
}

// has reports whether the block at off is here. Called with mu held.
func (b *Blob) has(off int64) bool {
	e := b.extents[off/ExtentSize]
	return e != nil && e.present>>slot(off)&1 != 0
}

// blockLen is the length in bytes of the block that starts at off: BlockSize,
// but for the last one of a blob.
func (b *Blob) blockLen(off int64) int64 {
	return min(BlockSize, b.size-off)
}

// arrive records that the block at off is here, with the checksum sum. Called
// with mu held.
func (b *Blob) arrive(off int64, sum uint32) {
	e := b.extent(off)
	if e.present>>slot(off)&1 != 0 {
		return
	}
	e.present |= 1 << slot(off)
	e.sums[slot(off)] = sum
	n := b.blockLen(off)
	b.cached += n
	b.store.room.used += n
	b.store.lru.Add(e, struct{}{})
	if b.cached == b.size {
		b.why = nil // it is about to be checked
	}
}

// lose undoes arrive. What takes the place of a block that was lost is not looked at
// yet, so the blob is not Verified any more. Called with mu held.
func (e *extent) lose(off int64) {
	if e.present>>slot(off)&1 == 0 {
		return
	}
	e.present &^= 1 << slot(off)
	n := e.blob.blockLen(off)
	e.blob.cached -= n
	e.blob.store.room.used -= n
	e.lost++
	e.blob.lost++
	e.blob.doubt()
	if e.present == 0 {
		e.blob.store.lru.Remove(e)
	}
}
