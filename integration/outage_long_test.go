package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// outage is how long the service is away in TestLongOutage, and the most that one
// operation on what is known, or cached, may then take. GLANCEFS_OUTAGE is a time
// for a machine that does nothing else, where the contract's 100 ms are kept.
func outage(t *testing.T) (away, limit time.Duration) {
	text := os.Getenv("GLANCEFS_OUTAGE")
	if text == "" {
		return 4 * time.Second, 2 * time.Second
	}
	away, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal("GLANCEFS_OUTAGE: ", err)
	}
	return away, 100 * time.Millisecond
}

const lookEvery = 50 * time.Millisecond

// TestLongOutage takes the service away, first as one that hangs, then as one that
// refuses connections, from eight readers, a reader of what is cached, an upload and
// a loop of df, ls and stat.
func TestLongOutage(t *testing.T) {
	away, limit := outage(t)
	s := glancetest.New(t)
	data := noise(t.Name(), 64<<20)
	id, whole := s.Add(t, "disk", data), s.Add(t, "whole", data[:4<<20])
	s.AddN(t, 200)
	m := mount(t, "--endpoint", s.URL, "--refresh", "1s", "--timeout", "10m")
	images := filepath.Join(m.Dir, "images")
	sameAt(t, filepath.Join(images, whole, "data"), data[:4<<20], 0, 4<<20)
	run(t, "ls", "-l", images)

	var stop atomic.Bool
	var all sync.WaitGroup
	for range 3 { // the service answers as it usually does
		look(t, m.Dir, images, id)
	}
	var reads [8]atomic.Int64
	for i := range reads {
		all.Go(func() { readOn(t, filepath.Join(images, id, "data"), data, int64(i)<<23, &stop, &reads[i]) })
	}
	var cached atomic.Int64 // the longest read of what is cached, in nanoseconds
	all.Go(func() {
		for !stop.Load() {
			begun := time.Now()
			sameAt(t, filepath.Join(images, whole, "data"), data[:4<<20], 1<<20, 1<<16)
			cached.Store(max(cached.Load(), int64(time.Since(begun))))
			time.Sleep(20 * time.Millisecond)
		}
	})
	source := filepath.Join(t.TempDir(), "new.raw")
	if err := os.WriteFile(source, data[:8<<20], 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)

	s.SetFaults(glancetest.Fault{Break: glancetest.Hang})
	upload := make(chan error, 1)
	all.Go(func() {
		c, err := command(t.Context(), nil, "cp", source, filepath.Join(m.Dir, "incoming/new.raw"))
		if err == nil {
			err = c.Run()
		}
		upload <- err
	})
	var longest time.Duration
	for range int(away / 2 / lookEvery) {
		longest = max(longest, look(t, m.Dir, images, id))
		time.Sleep(lookEvery)
	}
	s.SetFaults(glancetest.Fault{Break: glancetest.Drop})
	look(t, m.Dir, images, id) // what hung is answered now
	for range int(away / 2 / lookEvery) {
		longest = max(longest, look(t, m.Dir, images, id))
		time.Sleep(lookEvery)
	}
	s.SetFaults()
	back := time.Now()
	var before [8]int64
	for i := range reads {
		before[i] = reads[i].Load()
	}
	err := eventually("the readers to go on", func() (bool, error) {
		for i := range reads {
			if reads[i].Load() == before[i] {
				return false, fmt.Errorf("reader %d stands at %d", i, before[i])
			}
		}
		return true, nil
	})
	resumed := time.Since(back)
	stop.Store(true)
	said := <-upload
	all.Wait()
	t.Logf("longest operation %v, read of what is cached %v; readers resumed after %v; upload: %v", longest, time.Duration(cached.Load()), resumed, said)
	if err != nil {
		t.Error(err)
	}
	if read := time.Duration(cached.Load()); longest > limit || read > limit || resumed > 5*time.Second {
		t.Errorf("an operation took %v, a read of what is cached %v; the readers resumed after %v", longest, read, resumed)
	}
	entry := filepath.Join(m.Dir, "incoming/new.raw")
	if said == nil {
		sameAt(t, entry, data[:8<<20], 0, 8<<20)
	} else if why, err := try(nil, "getfattr", "--only-values", "-n", "user.glancefs.error", entry); err != nil || len(why) == 0 {
		t.Errorf("the upload failed and does not say why: %v; %v", said, err)
	}
}

// look does what administrators do while they wonder, and returns how long the
// slowest of it took. It is done by this process, to measure no other's start.
func look(t *testing.T, mnt, images, id string) (slowest time.Duration) {
	for _, do := range []func() error{
		func() error { return syscall.Statfs(mnt, new(syscall.Statfs_t)) },
		func() error {
			names, err := os.ReadDir(images)
			if err == nil && len(names) != 202 {
				err = fmt.Errorf("%d images listed", len(names))
			}
			return err
		},
		func() error { _, err := os.Stat(filepath.Join(images, id, "data")); return err },
		func() error { _, err := os.Stat(filepath.Join(mnt, "by-name/disk/meta.json")); return err },
	} {
		begun := time.Now()
		if err := do(); err != nil {
			t.Error(err)
		}
		slowest = max(slowest, time.Since(begun))
	}
	return slowest
}

// readOn reads 64 KiB after 64 KiB from at on, and compares, until told to stop. Once
// it has read 8 MiB it begins again.
func readOn(t *testing.T, file string, data []byte, at int64, stop *atomic.Bool, reads *atomic.Int64) {
	f, err := os.Open(file)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for off := at; !stop.Load(); off += int64(len(buf)) {
		if off == at+8<<20 {
			off = at
		}
		if _, err := f.ReadAt(buf, off); err != nil {
			t.Error(err)
			return
		}
		if !bytes.Equal(buf, data[off:off+int64(len(buf))]) {
			t.Errorf("wrong bytes at %d", off)
			return
		}
		reads.Add(1)
		time.Sleep(20 * time.Millisecond)
	}
}
