package integration

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// readerProgram is the name by which this test binary reads files as the
// benchmarks want it, and prints how many nanoseconds that took:
//
//	bench-reader random FILE SEED COUNT       COUNT pages of 4 KiB, each in another block of 64 KiB
//	bench-reader ranges URL SIZE SEED COUNT   as many blocks of 64 KiB of an image of that size, over one connection
//	bench-reader boot FILE cached|direct      bootTrace, through the kernel's page cache or past it
//	bench-reader whole FILE                   all of it, and opens and closes it
//	bench-reader forget FILE                  takes it out of the page cache, which is not timed
//	bench-reader refill FILE                  and reads it once
const readerProgram = "bench-reader"

const readerBlock = 64 << 10

func readerMain(what, target string, args ...string) error {
	if what == "ranges" {
		return readRanges(target, args)
	}
	flags := os.O_RDONLY
	if what == "boot" && args[0] == "direct" {
		flags |= syscall.O_DIRECT
	}
	if what == "whole" {
		return readWhole(target)
	}
	f, err := os.OpenFile(target, flags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	switch what {
	case "random":
		return readRandom(f, args)
	case "boot":
		return readBoot(f)
	case "forget":
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	case "refill":
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return err
		}
		return readToEnd(f, make([]byte, 1<<20))
	}
	return fmt.Errorf("no way to read %q", what)
}

// numbers parses arguments; one that is none is 0.
func numbers(args []string) (n []int64) {
	for _, a := range args {
		i, _ := strconv.ParseInt(a, 10, 64)
		n = append(n, i)
	}
	return n
}

// blocks is count blocks of a file of that size, in random order, none again
// before all were there.
func blocks(size, seed, count int64) (order []int) {
	rng := rand.New(rand.NewPCG(0, uint64(seed)))
	for int64(len(order)) < count {
		order = append(order, rng.Perm(int(size/readerBlock))...)
	}
	return order[:count]
}

func readWhole(target string) error {
	buf := make([]byte, 1<<20)
	begun := time.Now()
	f, err := os.Open(target)
	if err != nil {
		return err
	}
	if err := readToEnd(f, buf); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Println(time.Since(begun).Nanoseconds())
	return nil
}

func readToEnd(f *os.File, buf []byte) error {
	for {
		if _, err := f.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func readRandom(f *os.File, args []string) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	n := numbers(args)
	places := blocks(st.Size(), n[0], n[1])
	buf := make([]byte, page)
	begun := time.Now()
	for _, p := range places {
		if _, err := f.ReadAt(buf, int64(p)*readerBlock+int64(p%16)*page); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(begun).Nanoseconds())
	return nil
}

func readRanges(url string, args []string) error {
	n := numbers(args)
	client := &http.Client{Transport: &http.Transport{}}
	begun := time.Now()
	for _, p := range blocks(n[0], n[1], n[2]) {
		if err := getRange(client, url, int64(p)*readerBlock, readerBlock); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(begun).Nanoseconds())
	return nil
}

func getRange(client *http.Client, url string, off, n int64) error {
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	r, err := client.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if got, err := io.Copy(io.Discard, r.Body); err != nil || got != n {
		return fmt.Errorf("%d bytes of %d: %w", got, n, err)
	}
	return nil
}

// inFlight is how many reads of a booting system are under way at a time.
const inFlight = 3

func readBoot(f *os.File) error {
	loader, system := bootTrace()
	begun := time.Now()
	if err := readPieces(f, loader, 1); err != nil {
		return err
	}
	if err := readPieces(f, system, inFlight); err != nil {
		return err
	}
	fmt.Println(time.Since(begun).Nanoseconds())
	return nil
}

// readPieces begins to read the pieces one after the other, with at most depth
// under way.
func readPieces(f *os.File, pieces []piece, depth int) error {
	var begun atomic.Int64
	var readers errgroup.Group
	for range depth {
		readers.Go(func() error {
			// Memory from mmap is aligned as O_DIRECT wants it.
			buf, err := unix.Mmap(-1, 0, 128<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			for i := begun.Add(1) - 1; i < int64(len(pieces)); i = begun.Add(1) - 1 {
				p := pieces[i]
				if _, err := f.ReadAt(buf[:p.n], p.off); err != nil {
					return fmt.Errorf("%d bytes at %d: %w", p.n, p.off, err)
				}
			}
			return nil
		})
	}
	return readers.Wait()
}

// program is the name that this test binary was started by.
func program() string { return filepath.Base(os.Args[0]) }

// linkPrograms gives this test binary the names by which it is another program.
func linkPrograms() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin, err := buildGlancefs()
	if err != nil {
		return err
	}
	return errors.Join(os.Symlink(self, filepath.Join(bin, originProgram)), os.Symlink(self, filepath.Join(bin, readerProgram)))
}

// benchMain is that program.
func benchMain(args []string) error {
	switch {
	case program() == originProgram && len(args) == 2:
		return originMain(args[1])
	case program() == readerProgram && len(args) >= 3:
		return readerMain(args[1], args[2], args[3:]...)
	}
	return fmt.Errorf("wrong arguments: %q", args)
}
