package integration

import (
	"bytes"
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
)

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
	// Who serves is not in the hurry any more in which it took over.
	worker, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	usual := strings.TrimSpace(string(run(t, "ps", "-o", "ni=", "-p", strconv.Itoa(os.Getpid()))))
	for thread := range strings.Lines(string(run(t, "ps", "-L", "-o", "ni=,comm=", "-p", strconv.Itoa(worker)))) {
		if got := strings.Fields(thread); len(got) != 2 || got[0] != usual || got[1] != "glancefs-worker" {
			t.Errorf("a thread of the worker has this nice and this name: %q", thread)
		}
	}
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

// TestWritersOutlive has who serves a draft die between the writes of two programs that
// write it at the same time and their closing it: nothing is made of it, as without that.
func TestWritersOutlive(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	_, data := noiseFile(t, 3<<20)
	draft := filepath.Join(m.Dir, "incoming", "disk")
	first := copyTo(t, draft)
	first.in.Write(data[:1<<20])
	arrived(t, draft, 1<<20)
	second := copyTo(t, draft)
	second.in.Write(data[:2<<20])
	arrived(t, draft, 2<<20)
	first.in.Write(data[1<<20:])
	arrived(t, draft, 3<<20)
	m.killWorker(t)
	for _, cp := range []*feeding{first, second} {
		cp.in.Close()
		if err := cp.Wait(); err == nil {
			t.Error("it is told that all is well")
		}
	}
	if all := images(t, s, "disk"); len(all) != 0 {
		t.Errorf("it has made %+v", all)
	}
	run(t, "cp", "--remove-destination", filepath.Join(m.Dir, ".glancefs/status.json"), draft) // which is new
}

// TestMakerOutlives has a program open what it has made an image of, which to it is a
// file still, once the kernel has forgotten that, and who serves it die.
func TestMakerOutlives(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	data, entry := noise(t.Name(), 1<<20), filepath.Join(m.Dir, "incoming", "disk")
	if err := os.WriteFile(entry, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "readlink", entry) // by others: the kernel forgets the file for the link
	f, err := os.Open(entry)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := os.Lstat(entry); err != nil || !info.Mode().IsRegular() {
		t.Fatalf("what this process has written is no file to it: %v, %v", info, err)
	}
	m.killWorker(t)
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("reading it after the death: %v", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(data)) {
		t.Errorf("stat after the death: %v, %v", info, err)
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
		l.change()
		m.killWorker(t)
		died = append(died, time.Now())
		if i%5 == 2 {
			run(t, "cp", "--remove-destination", filepath.Join(other, "glancefs"), bin)
			l.change()
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
	for _, w := range l.tooLong() {
		t.Log(w)
	}
	limit := 20 * time.Second // which is to hang
	if long {
		limit = tolerable
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
