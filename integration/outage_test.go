package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestOfflineStart mounts while the service is down, with what an earlier mount
// has left: that is served, and the rest as soon as the service is back.
func TestOfflineStart(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	id := s.Add(t, "disk", data)
	cold := s.Add(t, "cold", data)
	m := mount(t, "--endpoint", s.URL, "--timeout", "3s", "--refresh", "1s")
	images, byName := filepath.Join(m.Dir, "images"), filepath.Join(m.Dir, "by-name")
	sha512sum(t, filepath.Join(images, id, "data"), data)
	run(t, "ls", "-l", images)
	m.Stop(t)

	s.SetFaults(glancetest.Fault{Break: glancetest.Drop})
	m.Again(t)
	sha512sum(t, filepath.Join(byName, "disk", "data"), data)
	if out := strings.Fields(string(run(t, "ls", images))); len(out) != 2 {
		t.Errorf("listed: %q", out)
	}
	if out := string(run(t, "ls", byName)); out != "cold\ndisk\n" {
		t.Errorf("listed by name: %q", out)
	}
	run(t, "df", m.Dir)
	run(t, "cat", filepath.Join(images, id, "meta.json"))
	if _, err := try(nil, "cat", filepath.Join(images, cold, "data")); err == nil || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("what is not cached: %v", err)
	}
	if out := string(run(t, "glancefs", "status", m.Dir)); !strings.Contains(out, "last error") {
		t.Errorf("status does not tell: %s", out)
	}

	s.SetFaults()
	err := eventually("the service to be used again", func() (bool, error) {
		_, err := try(nil, "cat", filepath.Join(images, cold, "data"))
		return err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	sha512sum(t, filepath.Join(images, cold, "data"), data)
}

// TestOutage stops the service under a mount: what is cached and known is
// served, a miss waits for the service, and killed readers go.
func TestOutage(t *testing.T) {
	s := glancetest.New(t)
	data := noise(t.Name(), 3<<20)
	id := s.Add(t, "disk", data)
	s.AddN(t, 200)
	m := mount(t, "--endpoint", s.URL, "--refresh", "100ms")
	images := filepath.Join(m.Dir, "images")
	file := filepath.Join(images, id, "data")
	sameAt(t, file, data, 0, 1<<20)
	run(t, "ls", "-l", images)

	s.SetFaults(glancetest.Fault{Break: glancetest.Hang})
	time.Sleep(200 * time.Millisecond)
	sameAt(t, file, data, 0, 64<<10)
	if n := strings.Count(string(run(t, "ls", "-l", images)), "\n"); n != 202 {
		t.Errorf("%d lines listed", n)
	}
	run(t, "df", m.Dir)
	reader, err := command(t.Context(), nil, "dd", "if="+file, "of=/dev/null", "bs=64K", "skip=40", "iflag=direct")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	kill(t, reader)

	// A reader who waits gets its bytes when the service is back.
	done := make(chan struct{})
	go func() {
		sha512sum(t, file, data)
		close(done)
	}()
	time.Sleep(300 * time.Millisecond)
	s.SetFaults()
	<-done
}

// TestOutageOfQuestions: the answers to what was asked before are given while the
// service hangs, and so is what they name.
func TestOutageOfQuestions(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	ids := s.AddN(t, 20)
	m := mount(t, "--endpoint", s.URL, "--api-version", "v1", "--refresh", "100ms")
	for _, id := range ids {
		run(t, "touch", filepath.Join(m.Dir, "images", id, "members/red"))
	}
	questions := []string{filepath.Join(m.Dir, "query/status=active"), filepath.Join(m.Dir, "by-member/red")}
	for _, dir := range questions {
		run(t, "ls", "-l", dir)
	}
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang})
	defer s.SetFaults()
	time.Sleep(200 * time.Millisecond)
	for range 2 {
		for _, dir := range questions {
			if n := strings.Count(string(run(t, "timeout", "15", "ls", "-l", dir)), "->"); n != len(ids) {
				t.Errorf("%d links listed in %s", n, dir)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// TestOutageOfTheUnknown: what was never asked before fails well before --timeout while
// the service hangs, once it has failed it does so at once, and it is there when the
// service is back.
func TestOutageOfTheUnknown(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	ids := s.AddN(t, 20)
	m := mount(t, "--endpoint", s.URL, "--refresh", "100ms", "--timeout", "10m")
	s.SetFaults(glancetest.Fault{Break: glancetest.Hang})
	defer s.SetFaults()
	query := filepath.Join(m.Dir, "query/status=active")
	asked := []string{
		query, filepath.Join(m.Dir, "images"), filepath.Join(m.Dir, "by-name"),
		filepath.Join(m.Dir, "by-member/red"), filepath.Join(m.Dir, "images", ids[0], "members"),
	}
	for _, dir := range asked {
		if _, err := try(nil, "timeout", "60", "ls", dir); err == nil || !strings.Contains(err.Error(), "Input/output error") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	m.says(t, `msg="list query/status=active"`)
	// 60 questions of 2 s each would take longer than that.
	if out, err := try(nil, "timeout", "60", "sh", "-c", `for i in $(seq 60); do ls "$1/name=$i"; done 2>&1 | grep -c "Input/output error"`, "sh", filepath.Dir(query)); err != nil || string(out) != "60\n" {
		t.Errorf("%q of 60 have failed (%v)", out, err)
	}
	s.SetFaults()
	for _, dir := range asked[:3] {
		err := eventually("what was asked", func() (bool, error) {
			out, err := try(nil, "ls", dir)
			return strings.Count(string(out), "\n") == len(ids), err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestKilledReader kills a reader in the middle of a read that has stalled. It
// is gone at once, and soon after the stream is, which nobody else wants.
func TestKilledReader(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	id := s.Add(t, "disk", noise(t.Name(), 64<<20))
	m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
	const stall = 32 << 10
	s.SetFaults(
		glancetest.Fault{Match: glancetest.IsData, Times: 1, Break: glancetest.Stall, After: stall},
		glancetest.Fault{Match: glancetest.IsData, Break: glancetest.Hang},
	)
	reader, err := command(t.Context(), nil, "cat", filepath.Join(m.Dir, "images", id, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	err = eventually("the stream to stall", func() (bool, error) { return s.BytesSent(id) >= stall, nil })
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // it waits for more
	if s.Running() == 0 {
		t.Error("there was no stream, or it has not stalled")
	}
	begun := time.Now()
	kill(t, reader)
	if err := m.quiet(); err != nil {
		t.Error(err)
	}
	t.Logf("the stream ended after %v", time.Since(begun).Round(time.Millisecond))
}

// TestManyStalledReaders: however many readers wait for a service that does not
// answer, what is cached is read.
func TestManyStalledReaders(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 32<<20)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL, "--timeout", "10m")
	file := filepath.Join(m.Dir, "images", id, "data")
	run(t, "dd", "if="+file, "of=/dev/null", "bs=1M", "count=1", "iflag=direct", "status=none")
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Break: glancetest.Hang})
	readers, err := command(t.Context(), nil, "sh", "-c", `
		for i in $(seq 150); do dd if="$1" of=/dev/null bs=4k count=1 skip=$((400 + i * 48)) status=none & done; wait`, "sh", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := readers.Start(); err != nil {
		t.Fatal(err)
	}
	defer readers.Wait()
	defer readers.Cancel()
	err = eventually("the readers to wait", func() (bool, error) { return s.Running() > 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	// Twice: from the cache, and from the kernel, which asked for it the first time.
	run(t, "timeout", "10", "dd", "if="+file, "of=/dev/null", "bs=64k", "count=16", "status=none")
	sameAt(t, file, data, 100_000, 500_000)
}

// kill kills a reader, who is to end also while it waits for the service.
func kill(t *testing.T, reader *exec.Cmd) {
	t.Helper()
	reader.Process.Kill()
	gone := make(chan struct{})
	go func() { reader.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("a killed reader waits on")
	}
}
