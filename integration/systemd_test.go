package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// A systemd hears what a process started with Type=notify tells.
type systemd struct{ conn net.PacketConn }

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	require(t)
	dir, err := os.MkdirTemp(scratch(), "notify")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("unixgram", filepath.Join(dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &systemd{conn}
}

// environ is what systemd starts a process with that has a watchdog.
func (s *systemd) environ(watchdog time.Duration) []string {
	return []string{"NOTIFY_SOCKET=" + s.conn.LocalAddr().String(), fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
}

// deaf leaves the messages to whoever wants them, who is nobody.
func (s *systemd) deaf() {
	go s.told(time.Hour, func(string) bool { return false })
}

// fill sends it as many messages as it takes while nobody reads them, which is up to
// the host.
func (s *systemd) fill(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("unixgram", s.conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for err == nil {
		conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = conn.Write([]byte("X=1"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
}

// told returns the next message within limit that is as wanted.
func (s *systemd) told(limit time.Duration, wanted func(message string) bool) (string, error) {
	s.conn.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 4096)
	for {
		n, _, err := s.conn.ReadFrom(b)
		if err != nil {
			return "", err
		}
		if wanted(string(b[:n])) {
			return string(b[:n]), nil
		}
	}
}

// hears wants a message that has text.
func (s *systemd) hears(t *testing.T, text string) (message string) {
	t.Helper()
	message, err := s.told(patience, func(m string) bool { return strings.Contains(m, text) })
	if err != nil {
		t.Fatalf("systemd was not told %q: %v", text, err)
	}
	return message
}

// TestNotify speaks systemd's protocol with a mount, from its start to its end.
func TestNotify(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	s.Add(t, "disk", noise(t.Name(), 1000))
	systemd := newSystemd(t)
	m := mountEnv(t, systemd.environ(time.Second), "--endpoint", s.URL, "--refresh", "1ns", "--timeout", "2s")
	if ready := systemd.hears(t, "READY=1"); !strings.Contains(ready, "STATUS="+s.URL+" (v2) at "+m.Dir) {
		t.Errorf("ready: %q", ready)
	}
	for range 3 {
		systemd.hears(t, "WATCHDOG=1")
	}
	byName := filepath.Join(m.Dir, "by-name")
	run(t, "ls", byName)
	s.SetFaults(glancetest.Fault{Status: http.StatusServiceUnavailable})
	if out := run(t, "ls", byName); string(out) != "disk\n" {
		t.Errorf("listed while the service is down: %q", out)
	}
	systemd.hears(t, "does not answer")
	systemd.hears(t, "WATCHDOG=1") // which is not for systemd to mend
	s.SetFaults()
	err := eventually("the service to be used again", func() (bool, error) {
		run(t, "ls", byName)
		_, err := systemd.told(100*time.Millisecond, func(m string) bool { return strings.HasPrefix(m, "STATUS=") && !strings.Contains(m, "not answer") })
		return err == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	m.cmd.Process.Signal(syscall.SIGHUP)
	if m := systemd.hears(t, "RELOADING=1"); !strings.Contains(m, "\nMONOTONIC_USEC=") {
		t.Errorf("reloading: %q", m)
	}
	systemd.hears(t, "READY=1")
	m.cmd.Process.Signal(syscall.SIGTERM)
	systemd.hears(t, "STOPPING=1")
	if err := m.wait(); err != nil {
		t.Error(err)
	}
}

// TestReload changes the account under a mount: SIGHUP makes it that of another
// project, and drops what was known of the first one's images.
func TestReload(t *testing.T) {
	t.Parallel()
	c := started(t, keystone)
	source, _ := noiseFile(t, 100000)
	mine := c.Upload(t, "demo", "reload", source)
	theirs := c.Upload(t, "other", "reload theirs", source)
	clouds, err := os.ReadFile(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	file := func(user string) string { return strings.Join(c.environ(c.URL, user, "secret"), "\n") + "\n" }
	for name, account := range map[string]struct {
		before, after string
		env, args     func(file string) []string
	}{
		"clouds.yaml": {
			string(clouds), strings.NewReplacer("  demo:", "  was:", "  other:", "  demo:").Replace(string(clouds)),
			func(file string) []string { return []string{"OS_CLIENT_CONFIG_FILE=" + file, "OS_CLOUD=demo"} },
			func(string) []string { return nil },
		},
		"file of variables": {
			file("demo"), "# rotated\nexport OS_PASSWORD='secret'\n" + file("other"),
			func(string) []string { return nil },
			func(file string) []string { return []string{"--env-file", file} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "account")
			if err := os.WriteFile(path, []byte(account.before), 0o600); err != nil {
				t.Fatal(err)
			}
			systemd := newSystemd(t)
			m := mountEnv(t, append(account.env(path), systemd.environ(time.Hour)...), append(account.args(path), "--refresh", "1h")...)
			systemd.hears(t, "READY=1")
			images := filepath.Join(m.Dir, "images")
			if list := string(run(t, "ls", images)); !strings.Contains(list, mine) || strings.Contains(list, theirs) {
				t.Fatalf("want %s listed and not %s:\n%s", mine, theirs, list)
			}
			reload := func(text string) string {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				m.cmd.Process.Signal(syscall.SIGHUP)
				systemd.hears(t, "RELOADING=1")
				systemd.hears(t, "READY=1")
				return string(run(t, "ls", images))
			}
			if list := reload("nonsense"); !strings.Contains(list, mine) {
				t.Errorf("after a reload that failed:\n%s\n%s", list, m.Stderr)
			}
			if list := reload(account.after); strings.Contains(list, mine) || !strings.Contains(list, theirs) {
				t.Errorf("want %s listed and not %s:\n%s\n%s", theirs, mine, list, m.Stderr)
			}
			run(t, "cmp", source, filepath.Join(images, theirs, "data"))
		})
	}
}

// TestUnit has systemd's own checker read the unit, and uses a mount with the
// privileges that it leaves.
func TestUnit(t *testing.T) {
	t.Parallel()
	require(t)
	bin, err := buildGlancefs()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/units/glancefs@.service")
	if err != nil {
		t.Fatal(err)
	}
	// The manual page and the program are where a package puts them.
	there := strings.NewReplacer("/usr/bin/glancefs", bin+"/glancefs", "Documentation=man:glancefs(8)\n", "").Replace(string(text))
	unit := filepath.Join(t.TempDir(), "glancefs@.service")
	if err := os.WriteFile(unit, []byte(there), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := command(ctx, nil, "systemd-analyze", "verify", unit)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "glancefs") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	_, capabilities, _ := strings.Cut(string(text), "\nCapabilityBoundingSet=")
	capabilities, _, _ = strings.Cut(capabilities, "\n")
	bounded := "-all"
	for name := range strings.FieldsSeq(capabilities) {
		bounded += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20)
	id := s.Add(t, "disk", data)
	m := mountAs(t, []string{"setpriv", "--bounding-set=" + bounded, "--no-new-privs"}, nil, "--endpoint", s.URL, "--allow-other")
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	if verified(t, file) != "yes" || !passes(t, m, file) {
		t.Errorf("not opened with passthrough:\n%s", m.Stderr)
	}
	run(t, "cp", file, filepath.Join(m.Dir, "incoming/copy"))
	sha512sum(t, filepath.Join(m.Dir, "by-name/copy/data"), data)
}
