package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

const (
	soakReaders = 5
	soakTimeout = 10 * time.Second
	// soakKill is how long a killed reader may take to go: far less than the
	// timeout, so that one that goes only because its read has failed is found.
	soakKill = soakTimeout / 2
)

// soakSizes has two images that do not fit into the cache of 64 MiB.
var soakSizes = []int{1, 65536, 3141592, 20 << 20, 90<<20 + 1, 150 << 20}

// TestSoak has several processes read and compare images of a service that
// fails in all the ways it can, and one make images, while readers and glancefs
// itself are killed. A wrong byte is never allowed; an error of a reader only where
// the service did not answer for the mount's timeout, or where glancefs was dead.
//
// GLANCEFS_SOAK is how long it lasts at most, 15s without. GLANCEFS_SOAK_FAULTS is
// how many requests are to have met a fault, after which it ends; without, it ends
// with the time. What is done in which order
// follows from a seed, which is logged and can be given in GLANCEFS_SOAK_SEED;
// what happens at the same time does not.
func TestSoak(t *testing.T) {
	require(t)
	length, seed, faults := soakVariables(t)
	t.Logf("%s with GLANCEFS_SOAK_SEED=%d", length, seed)
	s := newSoak(t, seed, length)
	defer s.log()
	for left := length; left > 0 && (faults == 0 || s.weather.service.Suffered() < faults); left = time.Until(s.end) {
		time.Sleep(between(s.rng, 100*time.Millisecond, 400*time.Millisecond))
		s.tend()
		s.weather.change(left)
		if s.rng.IntN(4) == 0 {
			s.killReader(s.rng.IntN(len(s.readers)))
		}
		if time.Now().After(s.nextEnd) {
			s.endMount()
			s.startMount()
		}
	}
	if n := s.weather.service.Suffered(); n < faults {
		t.Errorf("only %d faults in %v", n, length)
	}
	s.weather.ranges = nil
	s.weather.clear()
	s.killReaders()
	s.uploader.check()
	for _, image := range s.images {
		run(t, "cmp", image.source, filepath.Join(s.mount.Dir, "images", image.id, "data"))
	}
	s.checkRest(length > time.Minute)
}

func soakVariables(t *testing.T) (length time.Duration, seed uint64, faults int) {
	t.Helper()
	length, seed = 15*time.Second, uint64(time.Now().UnixNano())
	var err error
	if v := os.Getenv("GLANCEFS_SOAK"); v != "" {
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("GLANCEFS_SOAK: %v", err)
		}
	}
	if v := os.Getenv("GLANCEFS_SOAK_SEED"); v != "" {
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("GLANCEFS_SOAK_SEED: %v", err)
		}
	}
	if v := os.Getenv("GLANCEFS_SOAK_FAULTS"); v != "" {
		if faults, err = strconv.Atoi(v); err != nil {
			t.Fatalf("GLANCEFS_SOAK_FAULTS: %v", err)
		}
	}
	return length, seed, faults
}

// A soak is the state of TestSoak.
type soak struct {
	t        *testing.T
	rng      *rand.Rand
	end      time.Time
	weather  *weather
	images   []soakImage
	mount    *Mount
	readers  []*soakReader
	uploader *soakUploader
	nextEnd  time.Time // when the mount ends
	dead     []span    // when there was none
	tally    soakTally
}

// A soakTally is what the log tells in the end.
type soakTally struct {
	verified int64 // bytes
	started  int   // readers
	killed   int   // of them
	slowest  time.Duration
	behind   int // of the killed that waited for another one's lookup
	refused  int // reads that failed, and might
	mounts   int
}

// A soakImage is an image and the file with its data.
type soakImage struct{ id, source string }

func newSoak(t *testing.T, seed uint64, length time.Duration) *soak {
	s := &soak{t: t, rng: rand.New(rand.NewPCG(seed, 0)), end: time.Now().Add(length)}
	service := glancetest.New(t)
	issuer := newIssuer(t, service.URL)
	s.weather = &weather{
		service: service, issuer: issuer, timeout: soakTimeout, rng: s.rng,
		ranges: make(map[string]server.RangeMode), seen: make(map[string]int),
	}
	dir, err := os.MkdirTemp(scratch(), "soak")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, size := range soakSizes {
		name := fmt.Sprintf("soak-%d", size)
		data, source := noise(name, size), filepath.Join(dir, name)
		if err := os.WriteFile(source, data, 0o644); err != nil {
			t.Fatal(err)
		}
		id := service.Add(t, name, data)
		s.images = append(s.images, soakImage{id, source})
		s.weather.ids = append(s.weather.ids, id)
		s.weather.ranges[id] = server.RangeMode(s.rng.IntN(3))
	}
	s.weather.clear()
	s.mount = mountEnv(t, issuer.environ(), "--cache-size", "64MiB", "--timeout", soakTimeout.String(), "--refresh", "1s", "--allow-delete")
	s.uploader = &soakUploader{t: t, service: service, mount: s.mount, dir: dir, rng: rand.New(rand.NewPCG(seed, 1)), hashes: make(map[string]string)}
	s.mounted()
	s.readers = make([]*soakReader, soakReaders)
	t.Cleanup(func() {
		s.killAll()
		s.uploader.stop()
	})
	return s
}

// mounted notes that there is a mount, and decides how long: some time between
// two seconds and a third of the test, or a minute.
func (s *soak) mounted() {
	s.tally.mounts++
	s.nextEnd = time.Now().Add(between(s.rng, 2*time.Second, min(max(time.Until(s.end)/3, 3*time.Second), time.Minute)))
	s.uploader.start()
}

// endMount ends glancefs: in good order, without readers and writers; or by a kill
// under its readers, who have to end by themselves.
func (s *soak) endMount() {
	m := s.mount
	if s.rng.IntN(3) == 0 {
		s.killReaders()
		run(s.t, "glancefs", "umount", m.Dir)
		if err := m.wait(); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	s.dead = append(s.dead, span{from: time.Now()})
	m.Kill9(s.t)
	for i, r := range s.readers {
		if r == nil {
			continue
		}
		if !r.gone(patience) {
			s.t.Fatalf("a reader did not end when glancefs was killed, %s", r.state())
		}
		s.bury(i)
	}
	s.uploader.stop()
	s.dead[len(s.dead)-1].to = time.Now()
	run(s.t, "glancefs", "umount", m.Dir)
}

// startMount mounts again. That needs a service that answers.
func (s *soak) startMount() {
	s.weather.clear()
	s.mount.Again(s.t)
	s.mounted()
	s.tend()
}

// killReaders also stops the uploader, for whom the same holds.
func (s *soak) killReaders() {
	s.uploader.stop()
	for i := range s.readers {
		s.killReader(i)
	}
}

// killReader kills a reader, which has to be gone soon whatever it was waiting
// for; the weather does not change meanwhile. One thing is the kernel's: who
// looks up a name that another process is looking up waits for that one and
// cannot be killed (d_alloc_parallel). Then all have to be gone once all are
// killed.
func (s *soak) killReader(i int) {
	r := s.readers[i]
	if r == nil {
		return
	}
	begun := time.Now()
	r.kill()
	if !r.gone(soakKill) {
		state := r.state()
		if !strings.Contains(state, "d_alloc_parallel") {
			s.t.Fatalf("a killed reader is not gone after %s, %s", soakKill, state)
		}
		s.tally.behind++
		s.killAll()
		if !r.gone(soakKill) {
			s.t.Fatalf("a killed reader is not gone %s after all were killed, %s", soakKill, r.state())
		}
	} else {
		s.tally.slowest = max(s.tally.slowest, time.Since(begun))
	}
	s.tally.killed++
	s.bury(i)
}

// killAll kills all readers and does not wait for them.
func (s *soak) killAll() {
	for _, r := range s.readers {
		if r != nil {
			r.kill()
		}
	}
}

func (s *soak) log() {
	t := &s.tally
	s.t.Logf("%d requests met a fault; %d images were made, %d uploads said why not", s.weather.service.Suffered(), s.uploader.done, s.uploader.failed)
	s.t.Logf("%d MiB compared by %d readers, of which %d were killed (gone after %s at most; %d behind another one) and %d saw a permitted error; %d mounts; weather %v",
		t.verified>>20, t.started, t.killed, t.slowest.Round(time.Millisecond), t.behind, t.refused, t.mounts, s.weather.seen)
}

// mayFail reports whether a system call from and to those times may have failed.
func (s *soak) mayFail(errno syscall.Errno, from, to time.Time) bool {
	for _, d := range s.dead {
		if d.meets(from, to) {
			return errno == syscall.ENOTCONN || errno == syscall.ECONNABORTED || errno == syscall.EIO
		}
	}
	return errno == syscall.EIO && s.weather.health.unavailable(from, to)
}
