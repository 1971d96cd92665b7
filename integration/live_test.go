package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// worker returns the process that serves a mount at present.
func (m *Mount) worker() (int, error) {
	var pid int
	err := eventually("a worker", func() (bool, error) {
		out, err := try(nil, "pgrep", "-P", strconv.Itoa(m.cmd.Process.Pid), "-x", "glancefs-worker")
		if err != nil {
			return false, err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(out)))
		return err == nil, err
	})
	return pid, err
}

// killWorker kills the process that serves a mount.
func (m *Mount) killWorker(tb testing.TB) {
	tb.Helper()
	pid, err := m.worker()
	if err != nil {
		tb.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	err = eventually("the end of the worker", func() (bool, error) {
		return syscall.Kill(pid, 0) == syscall.ESRCH, nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// TestOpenOutlives has files open in each way while who serves them dies.
func TestOpenOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 8<<20)
	whole, part := s.Add(t, "whole", data), s.Add(t, "part", data)
	m := mount(t, "--endpoint", s.URL)
	at := func(id string) string { return filepath.Join(m.Dir, "images", id, "data") }
	sha512sum(t, at(whole), data)
	if v := verified(t, at(whole)); v != "yes" {
		t.Fatalf("verified: %q", v)
	}
	sameAt(t, at(part), data, 0, 4096)
	open := func(path string) *os.File {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	passed, buffered := open(at(whole)), open(at(part))
	for i := range 3 {
		m.killWorker(t)
		for _, f := range []*os.File{passed, buffered, open(at(whole)), open(at(part))} {
			got, off := make([]byte, 4096), int64(i+1)<<20
			if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, data[off:off+4096]) {
				t.Fatalf("%s after %d deaths: %v", f.Name(), i+1, err)
			}
		}
		if !passes(t, m, at(whole)) {
			t.Error("a verified image is not read by passthrough any more")
		}
		if passes(t, m, at(part)) {
			t.Error("an image of which there is a part is read by passthrough")
		}
	}
	passed.Close()
	sha512sum(t, at(whole), data)
}

// TestWriterOutlives has who serves a draft die while it is written, while it is
// sent, and once it is an image: it becomes one image, and close tells so.
func TestWriterOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	_, data := noiseFile(t, 3<<20)
	draft := filepath.Join(m.Dir, "incoming", "disk")
	cp := copyTo(t, draft)
	cp.in.Write(data[:1<<20])
	arrived(t, draft, 1<<20)
	m.killWorker(t)
	cp.in.Write(data[1<<20 : 2<<20])
	arrived(t, draft, 2<<20)
	s.SetFaults(glancetest.Fault{Match: glancetest.IsUpload, Times: 1, Break: glancetest.StallUpload, After: 1 << 20})
	cp.in.Write(data[2<<20:])
	cp.in.Close()
	err := eventually("the upload to stand still", func() (bool, error) {
		u := uploads(t, m)
		return len(u) == 1 && u[0].State == "uploading" && u[0].Sent >= 1<<20, fmt.Errorf("%+v", u)
	})
	if err != nil {
		t.Fatal(err)
	}
	m.killWorker(t)
	if err := cp.Wait(); err != nil {
		t.Error(err)
	}
	s.SetFaults() // what stands still is over
	m.killWorker(t)
	sha512sum(t, draft, data)
	if to := string(run(t, "readlink", draft)); !strings.HasPrefix(to, "../images/") {
		t.Errorf("it is a link to %q", to)
	}
	if all := images(t, s, "disk"); len(all) != 1 {
		t.Errorf("it has made %+v", all)
	}
}

// TestUpgrade replaces the program under a mount: the new one goes on with what is
// open, and one that does not work does not get so far.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 4<<20)
	id := s.Add(t, "disk", data)
	bin := upgradable(t)
	m := mountAs(t, []string{"env", "PATH=" + bin}, nil, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reads := func() {
		t.Helper()
		got := make([]byte, 4096)
		if _, err := f.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, data[1<<20:1<<20+4096]) {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"next", "last"} {
		replace(t, bin, version)
		if out := run(t, "glancefs", "upgrade", m.Dir); !bytes.HasPrefix(out, []byte("glancefs "+version+", process ")) {
			t.Errorf("%q", out)
		}
		reads()
	}
	for what, text := range map[string]string{"no program": "no program", "one that ends": "#!/bin/false\n"} {
		path := filepath.Join(bin, "new")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, filepath.Join(bin, "glancefs")); err != nil {
			t.Fatal(err)
		}
		if out, err := try(nil, "glancefs", "upgrade", m.Dir); err == nil {
			t.Errorf("upgraded to %s: %q", what, out)
		}
		reads()
		if out := run(t, "glancefs", "status", m.Dir); !bytes.Contains(out, []byte(" of glancefs last, ")) || !bytes.Contains(out, []byte("came to nothing")) {
			t.Errorf("after an upgrade to %s: %q", what, out)
		}
	}
	m.killWorker(t) // what is at the path now does not matter
	reads()
}

// upgradable is a directory with a glancefs of its own.
func upgradable(t *testing.T) string {
	t.Helper()
	require(t)
	dir, err := os.MkdirTemp(scratch(), "bin")
	if err != nil {
		t.Fatal(err)
	}
	replace(t, dir, "first")
	return dir
}

// replace puts a glancefs of another version in the place of the one in a
// directory, as a package does.
func replace(t *testing.T, dir, version string) {
	t.Helper()
	path := filepath.Join(dir, "new")
	out, err := exec.Command("go", "build", "-ldflags=-X main.version="+version, "-o", path, "glancefs").CombinedOutput()
	if err == nil {
		err = os.Rename(path, filepath.Join(dir, "glancefs"))
	}
	if err != nil {
		t.Fatalf("building glancefs: %v: %s", err, out)
	}
}

// held is what a mount has for those who use it: descriptors of its two processes,
// handles, nodes, and memory in KiB.
type held struct{ files, kept, handles, nodes, memory, keptMemory int }

func (m *Mount) held(t *testing.T) held {
	t.Helper()
	worker, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	keeper := m.cmd.Process.Pid
	return held{
		files: descriptors(t, worker), kept: descriptors(t, keeper),
		handles: int(m.Stats(t, "glancefs_handles")), nodes: int(m.Stats(t, "glancefs_nodes")),
		memory: memoryOf(t, worker, "RssAnon:"), keptMemory: memoryOf(t, keeper, "RssAnon:"),
	}
}

// descriptors counts those of a process.
func descriptors(tb testing.TB, pid int) int {
	tb.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		tb.Fatal(err)
	}
	return len(files)
}

// deathsPerMinute is how many workers of a mount may die in a minute.
const deathsPerMinute = 4

// TestLive has the workers of a mount die, and be replaced, while all kinds of
// readers and writers use it: none of them sees an error, a wrong byte, or much of a
// wait. GLANCEFS_LIVE says how many are to die, where there is time for that.
func TestLive(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	deaths, _ := strconv.Atoi(os.Getenv("GLANCEFS_LIVE"))
	long := deaths > deathsPerMinute
	if deaths == 0 {
		deaths = deathsPerMinute
	}
	source, whole := noiseFile(t, 32<<20)
	part := whole // of which there is nothing yet
	ids := map[string]string{"whole": s.Add(t, "whole", whole), "part": s.Add(t, "part", part)}
	written, fio := verifiable(t)
	ids["fio"] = s.Add(t, "fio", written)
	other, bin := upgradable(t), upgradable(t)
	replace(t, other, "other")
	m := mountAs(t, []string{"env", "PATH=" + bin}, nil, "--endpoint", s.URL, "--refresh", "1s")
	at := func(name string) string { return filepath.Join(m.Dir, "images", ids[name], "data") }
	sha512sum(t, at("whole"), whole)
	if v := verified(t, at("whole")); v != "yes" {
		t.Fatalf("verified: %q", v)
	}
	run(t, "ls", "-lR", m.Dir)
	before := m.held(t)

	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Latency: 5 * time.Millisecond}) // for there to be something to wait for
	l := newLoad(t, m.Dir)
	t.Cleanup(l.end) // before the mount ends
	for range 2 {
		l.reader(ids["part"], part, 0)
		l.reader(ids["part"], part, syscall.O_DIRECT)
		l.reader(ids["whole"], whole, 0)
		l.mapper(ids["part"], source)
		l.mapper(ids["whole"], source)
	}
	l.writer("a")
	l.writer("b")
	l.lister(ids)
	if long {
		l.tools(ids["whole"], source)
		l.fio(ids["fio"], fio)
	}
	var died []time.Time
	for i := range deaths {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
		if n := len(died) - deathsPerMinute; n >= 0 {
			time.Sleep(time.Until(died[n].Add(time.Minute + 100*time.Millisecond)))
		}
		m.killWorker(t)
		died = append(died, time.Now())
		if i%5 == 2 {
			run(t, "cp", "--remove-destination", filepath.Join(other, "glancefs"), bin)
			run(t, "glancefs", "upgrade", m.Dir)
		}
		if t.Failed() {
			break
		}
	}
	time.Sleep(time.Second)
	s.SetFaults()
	l.end()
	t.Logf("%d operations, the longest %v; %d images", l.reads, l.stalls, len(l.written))
	limit := 20 * time.Second // which is to hang
	if long {
		limit = time.Second
	}
	for what, stall := range l.stalls {
		if stall > limit && what != listing {
			t.Errorf("%s took %v", what, stall)
		}
	}
	for name, data := range l.written {
		sha512sum(t, filepath.Join(m.Dir, "incoming", name), data)
		if all := images(t, s, name); len(all) != 1 {
			t.Errorf("%s has made %+v", name, all)
		}
	}
	// Each image has an entry of its own, and what is in it.
	err := eventually("what was used to be given up", func() (bool, error) {
		now := m.held(t)
		return now.handles <= before.handles+1 && now.files <= before.files+2*len(l.written)+12 && now.nodes <= before.nodes+8*len(l.written)+8 &&
			now.kept <= before.kept && now.memory <= before.memory+64<<10 && now.keptMemory <= before.keptMemory+8<<10, fmt.Errorf("%+v, before %+v", now, before)
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("left: %+v; before: %+v", m.held(t), before)
}

// TestKeeperKilled kills the process that keeps a mount: the one that serves it
// does not outlive it, nobody hangs, and the mountpoint can be used again.
func TestKeeperKilled(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	m.cmd.Process.Kill()
	<-m.done
	err := eventually("the end of the worker", func() (bool, error) {
		_, err := try(nil, "stat", "-f", m.Dir)
		return err != nil && strings.Contains(err.Error(), "not connected"), err
	})
	if err != nil {
		t.Error(err)
	}
	run(t, "glancefs", "umount", m.Dir)
	m.Again(t)
	sha512sum(t, file, data)
}

// TestNoWorkerLives kills every worker: the fifth is the last one.
func TestNoWorkerLives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	for range deathsPerMinute + 1 {
		m.killWorker(t)
	}
	select {
	case <-m.done:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if _, mounted := connection(m.Dir); mounted || m.cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("mounted: %t; %s", mounted, m.cmd.ProcessState)
	}
	if !strings.Contains(m.Stderr.String(), "no worker lives") {
		t.Errorf("it says %s", m.Stderr)
	}
}

// TestGivesWayDead has workers that hang be replaced, more of them than may die: each
// is ended, and its successor serves.
func TestGivesWayDead(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	for range deathsPerMinute + 2 {
		pid, err := m.worker()
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if err := m.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		err = eventually("the end of the worker", func() (bool, error) {
			return syscall.Kill(pid, 0) == syscall.ESRCH, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sameAt(t, filepath.Join(m.Dir, "images", id, "data"), data, 4096, 4096)
	}
	if !strings.Contains(m.Stderr.String(), "was to give way") {
		t.Errorf("it says %s", m.Stderr)
	}
}
