package integration

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// benchSize is of the image that is read. The server keeps it in the kernel's
// memory, so what is measured is never how fast it reads a disk.
const benchSize = 256 << 20

// benchPages is how many pages a round of random reads has.
const benchPages = 4000

// A bench is an image at a server, and its data in a file of its own.
type bench struct {
	*testing.B
	service      *glancetest.Server
	id, url      string
	dir, source  string
	opBytes      float64
	ours, theirs []time.Duration // of the rounds
}

func newBench(b *testing.B) *bench {
	require(b)
	source, data := noiseFile(b, benchSize)
	s := glancetest.New(b)
	id := s.Add(b, "disk", data)
	url := s.URL + "/v2/images/" + id + "/file"
	return &bench{B: b, service: s, id: id, url: url, dir: filepath.Dir(source), source: source, opBytes: benchSize}
}

// rounds measures ours against theirs, which begins every other round, and
// reports the median of ours and, as x_peer, how many times that of theirs it
// is: below 1 glancefs is faster.
func (b *bench) rounds(peer string, ours, theirs func(round int) time.Duration) {
	b.ours, b.theirs = nil, nil
	for round := 0; b.Loop(); round++ {
		if round%2 == 0 {
			b.ours = append(b.ours, ours(round))
			b.theirs = append(b.theirs, theirs(round))
		} else {
			b.theirs = append(b.theirs, theirs(round))
			b.ours = append(b.ours, ours(round))
		}
	}
	mine, other := float64(median(b.ours)), float64(median(b.theirs))
	b.ReportMetric(mine, "ns/op")
	b.ReportMetric(b.opBytes*1e3/mine, "MB/s")
	b.ReportMetric(mine/other, "x_"+peer)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return (d[len(d)/2] + d[(len(d)-1)/2]) / 2
}

// fresh mounts with an empty cache for as long as it takes to do something with
// the image's data file.
func (b *bench) fresh(do func(data string) time.Duration) time.Duration {
	m := mount(b, "--endpoint", b.service.URL, "--cache-size", "1GiB")
	defer os.RemoveAll(filepath.Dir(m.Dir)) // with its cache
	defer m.Stop(b)
	data := filepath.Join(m.Dir, "images", b.id, "data")
	run(b, "stat", data) // a lookup is no part of reading
	return do(data)
}

// reads is how long bench_read.py took to read.
func (b *bench) reads(how, file string, args ...string) time.Duration {
	out := run(b, "python3", append([]string{"bench_read.py", how, file}, args...)...)
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}

// curl is how long it takes to download the image into a file.
func (b *bench) curl(round int) time.Duration {
	file := filepath.Join(b.dir, fmt.Sprint("curl-", round))
	defer os.Remove(file)
	begun := time.Now()
	if _, err := try(nil, "curl", "-sSf", "-o", file, b.url); err != nil {
		b.Error(err)
	}
	return time.Since(begun)
}

// BenchmarkReadCold reads a whole image that is not cached, against curl into a
// file: both end with the image on the disk. The programs' starts are timed too.
func BenchmarkReadCold(b *testing.B) {
	n := newBench(b)
	n.rounds("curl", func(int) time.Duration {
		return n.fresh(func(data string) time.Duration {
			begun := time.Now()
			run(b, "dd", "if="+data, "of=/dev/null", "bs=1M", "status=none")
			return time.Since(begun)
		})
	}, n.curl)
}

// BenchmarkReadColdEight is eight processes that read the same cold image at
// once, against eight downloads at once. "sent" is how many times the server
// sent the image to glancefs.
func BenchmarkReadColdEight(b *testing.B) {
	n := newBench(b)
	var sent int64
	n.rounds("curl", func(int) time.Duration {
		return n.fresh(func(data string) time.Duration {
			n.service.Reset()
			took := eight(func(int) {
				if _, err := try(nil, "dd", "if="+data, "of=/dev/null", "bs=1M", "status=none"); err != nil {
					b.Error(err)
				}
			})
			sent += n.service.BytesSent(n.id)
			return took
		})
	}, func(int) time.Duration { return eight(func(i int) { n.curl(i) }) })
	b.ReportMetric(float64(sent)/benchSize/float64(b.N), "sent")
}

func eight(do func(i int)) time.Duration {
	var all sync.WaitGroup
	begun := time.Now()
	for i := range 8 {
		all.Go(func() { do(i) })
	}
	all.Wait()
	return time.Since(begun)
}

// BenchmarkReadColdRandom reads single pages of an image that is not cached,
// against requests for the blocks of 64 KiB around such pages over one
// connection. One op is one page.
func BenchmarkReadColdRandom(b *testing.B) {
	n := newBench(b)
	n.opBytes = 4096
	n.rounds("ranges", func(round int) time.Duration {
		return n.fresh(func(data string) time.Duration { return n.pages(data, round) })
	}, func(round int) time.Duration { return n.ranges(round) / benchPages })
}

// pages is how long one page took.
func (b *bench) pages(file string, round int) time.Duration {
	return b.reads("random", file, fmt.Sprint(round), fmt.Sprint(benchPages)) / benchPages
}

// ranges is how long it takes to get benchPages blocks, one after the other.
func (b *bench) ranges(round int) time.Duration {
	const block = 64 << 10
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	places := rand.New(rand.NewPCG(0, uint64(round))).Perm(benchSize / block)[:benchPages]
	begun := time.Now()
	for _, p := range places {
		q, err := http.NewRequest(http.MethodGet, b.url, nil)
		if err != nil {
			b.Fatal(err)
		}
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p*block, (p+1)*block-1))
		r, err := client.Do(q)
		if err != nil {
			b.Fatal(err)
		}
		got, err := io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil || got != block {
			b.Fatalf("%d bytes of a block: %v", got, err)
		}
	}
	return time.Since(begun)
}

// BenchmarkReadWarm reads a verified image, which the kernel reads by itself,
// against the bare cache file, both in the kernel's memory. One op of random is
// one page.
func BenchmarkReadWarm(b *testing.B) {
	for name, how := range warmReads() {
		b.Run(name, func(b *testing.B) {
			n := newBench(b)
			n.opBytes = how.opBytes
			n.fresh(func(data string) time.Duration {
				run(b, "cmp", n.source, data)
				verified(b, data)
				files, err := filepath.Glob(filepath.Join(filepath.Dir(data), "../../../cache/blobs/*.data"))
				if err != nil || len(files) != 1 {
					b.Fatal(files, err)
				}
				n.rounds("file", func(round int) time.Duration { return how.read(n, data, round) },
					func(round int) time.Duration { return how.read(n, files[0], round) })
				return 0
			})
		})
	}
}

// BenchmarkReadCopying reads a cached image that was opened before it was
// complete, so that glancefs is asked for it, against a plain FUSE file system
// over the file. In "cached" the kernel remembers what it was given; in "asked"
// that is taken from it before each round, so that each read is answered anew,
// and glancefs compares checksums.
func BenchmarkReadCopying(b *testing.B) {
	for name, how := range warmReads() {
		for _, kernel := range []string{"cached", "asked"} {
			b.Run(name+"/"+kernel, func(b *testing.B) {
				n := newBench(b)
				n.opBytes = how.opBytes
				plain := loopback(b, n.dir)
				n.fresh(func(data string) time.Duration {
					held, err := command(b.Context(), nil, "sh", "-c", `exec 3<"$1"; head -c 1 <&3; exec sleep 3600`, "sh", data)
					if err == nil {
						err = held.Start()
					}
					if err != nil {
						b.Fatal(err)
					}
					defer held.Wait()
					defer held.Cancel()
					same := filepath.Join(plain, filepath.Base(n.source))
					run(b, "cmp", same, data)
					read := func(file string, round int) time.Duration {
						if kernel == "asked" {
							run(b, "python3", "bench_read.py", "forget", file)
						}
						return how.read(n, file, round)
					}
					n.rounds("loopback", func(round int) time.Duration { return read(data, round) },
						func(round int) time.Duration { return read(same, round) })
					return 0
				})
			})
		}
	}
}

// warmRead is a way to read a file that is all there.
type warmRead struct {
	opBytes float64
	read    func(b *bench, file string, round int) time.Duration
}

func warmReads() map[string]warmRead {
	return map[string]warmRead{
		"sequential": {benchSize, func(b *bench, file string, _ int) time.Duration { return b.reads("sequential", file) }},
		"random":     {4096, (*bench).pages},
	}
}
