package integration

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestFrozen stops the worker for longer than --timeout, as a frozen container or host
// is, while an image is read and another is sent: the service has not been silent for
// so long, so both go on.
func TestFrozen(t *testing.T) {
	t.Parallel()
	const timeout = 6 * time.Second
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	source, _ := noiseFile(t, 8<<20)
	m := mount(t, "--endpoint", s.URL, "--timeout", timeout.String())
	worker, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Break: glancetest.Hang},
		glancetest.Fault{Match: glancetest.IsUpload, Break: glancetest.StallUpload, After: 1 << 20})
	ended := make(chan error, 2)
	for from, to := range map[string]string{
		filepath.Join(m.Dir, "images", id, "data"): "/dev/null",
		source: filepath.Join(m.Dir, "incoming/copy"),
	} {
		go func() {
			_, err := try(nil, "cp", from, to)
			ended <- err
		}()
	}
	err = eventually("both to wait for the service", func() (bool, error) { return s.Suffered() == 2, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(timeout + time.Second)
	if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(timeout / 8) // what gives up by the clock has done so by now
	s.SetFaults()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if all := images(t, s, "copy"); len(all) != 1 || all[0].Status != "active" {
		t.Errorf("the service has %+v", all)
	}
}

// TestFrozenMount stops both processes of a mount for longer than the watchdog waits:
// the worker is not ended for what it could not say.
func TestFrozenMount(t *testing.T) {
	t.Parallel()
	const watchdog = 8 * time.Second
	s := glancetest.New(t)
	systemd := newSystemd(t)
	m := mountEnv(t, systemd.environ(watchdog), "--endpoint", s.URL)
	systemd.hears(t, "WATCHDOG=1")
	pid, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	both := []int{m.cmd.Process.Pid, pid}
	for _, p := range both {
		if err := syscall.Kill(p, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(watchdog)
	for _, p := range both {
		if err := syscall.Kill(p, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		systemd.hears(t, "WATCHDOG=1")
	}
	if now, err := m.worker(); now != pid || err != nil {
		t.Errorf("the worker %d was replaced by %d, %v", pid, now, err)
	}
}
