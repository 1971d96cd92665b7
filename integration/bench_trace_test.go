package integration

import (
	"math/rand/v2"
	"testing"
)

// A piece is one read of a trace.
type piece struct{ off, n int64 }

// bootSize is of the image that bootTrace is a boot of.
const bootSize = 3 << 30

// bootTrace is the reads of a machine that boots, from its disk, a system of
// three partitions as Debian's cloud image has: first what firmware and boot
// loader read, one piece after the other; then what the system reads, which is
// to be read with some pieces in flight at a time. It is made up, but in the
// likeness of a traced boot: see TestBootTrace.
func bootTrace() (loader, system []piece) {
	rng := rand.New(rand.NewPCG(3, 1))
	const sector, end = 4096, bootSize
	// Both partition tables, the boot sector and the boot loader's core.
	loader = append(loader, piece{0, sector}, piece{sector, 4 * sector}, piece{end - 9*sector, 8 * sector}, piece{end - sector, sector})
	loader = append(loader, sequence(1<<20, 128<<10, 32<<10)...)
	for range 40 { // directories and file maps of the file system
		loader = append(loader, piece{130<<20 + rng.Int64N(2<<20)/sector*sector, sector})
	}
	loader = append(loader, sequence(200<<20, 8<<20, 32<<10)...)     // the kernel
	loader = append(loader, sequence(240<<20, 19500<<10, 32<<10)...) // the initial ramdisk

	// Programs and libraries lie in groups, and are read from their start,
	// most in a few pieces. Which group comes next is anybody's guess.
	const groups, group = 63, 4 << 20
	places := rng.Perm((bootSize - 300<<20) / group)[:groups]
	var bursts [][]piece
	for _, place := range places {
		start := int64(300<<20 + place*group)
		bursts = append(bursts, []piece{{start, sector}}) // its inodes
		for range 1 + rng.IntN(3) {
			part := start + int64(rng.IntN(group>>20))<<20
			for range 1 + rng.IntN(2) {
				file := part + rng.Int64N(1<<20-256<<10)/sector*sector
				bursts = append(bursts, burst(rng, file))
			}
		}
	}
	rng.Shuffle(len(bursts), func(i, j int) { bursts[i], bursts[j] = bursts[j], bursts[i] })
	for i, b := range bursts {
		system = append(system, b...)
		if i > 0 && rng.IntN(8) == 0 { // what is not kept is read again
			again := bursts[rng.IntN(i)]
			system = append(system, again[rng.IntN(len(again))])
		}
	}
	return loader, append(system, piece{end - sector, sector}, piece{end - 9*sector, 8 * sector})
}

// burst is how one file is read: a look at its start and then, mostly, more.
func burst(rng *rand.Rand, off int64) []piece {
	sizes := []int64{4 << 10, 8 << 10, 16 << 10, 16 << 10, 16 << 10, 32 << 10, 64 << 10, 64 << 10}
	var b []piece
	for range 4 + rng.IntN(17) {
		n := sizes[rng.IntN(len(sizes))]
		b = append(b, piece{off, n})
		off += n
	}
	return b
}

func sequence(off, n, step int64) (s []piece) {
	for end := off + n; off < end; off += step {
		s = append(s, piece{off, min(step, end-off)})
	}
	return s
}

// touched is how many bytes there are in the blocks of a size that pieces lie
// in.
func touched(block int64, pieces ...piece) int64 {
	blocks := make(map[int64]bool)
	for _, p := range pieces {
		for b := p.off / block; b <= (p.off+p.n-1)/block; b++ {
			blocks[b] = true
		}
	}
	return int64(len(blocks)) * block
}

// TestBootTrace compares the trace with a real boot of Debian 12 from an image
// of that size, of 3,168 reads: to 84 MB that it reads, 92 MB lie in the same
// blocks of 64 KiB, 117 MB in those of 256 KiB, 184 MB of 1 MiB and 323 MB of
// 4 MiB.
func TestBootTrace(t *testing.T) {
	loader, system := bootTrace()
	all := append(loader, system...)
	t.Logf("%d reads", len(all))
	for _, block := range []struct{ size, want int64 }{{4 << 10, 84}, {64 << 10, 92}, {256 << 10, 117}, {1 << 20, 184}, {4 << 20, 323}} {
		got := touched(block.size, all...) / 1e6
		t.Logf("blocks of %d KiB: %d MB, %d MB in the real one", block.size>>10, got, block.want)
		if got < block.want*92/100 || got > block.want*108/100 {
			t.Errorf("blocks of %d KiB: %d MB, not about %d MB", block.size>>10, got, block.want)
		}
	}
}
