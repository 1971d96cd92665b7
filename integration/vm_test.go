package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// vmPatience bounds one boot. Without hardware's help it takes a quarter of a
// minute, and longer when several run on few processors.
const vmPatience = 5 * time.Minute

// nobody runs the machines: hypervisors have a user of their own.
const nobody = 65534

// TestVM boots virtual machines of Debian straight from the mount, each from a
// throw-away overlay over an image of a real Glance, in the ways that qemu can
// read one. The first boot fetches no more than a tenth of the image; a later
// one, by a new process with the same cache, nothing; and none, nor four that
// boot together, a byte twice.
//
// GLANCEFS_VM is a directory, made if it is missing, in which vm-disk.sh keeps
// the disk from run to run. Without it the test is skipped: it takes minutes.
func TestVM(t *testing.T) {
	dir := os.Getenv("GLANCEFS_VM")
	if dir == "" {
		t.Skip("GLANCEFS_VM is not set")
	}
	g := started(t, noauth)
	makeDisk(t, dir)
	for _, format := range []string{"raw", "qcow2"} {
		disk := filepath.Join(dir, "disk."+format)
		id := g.Upload(t, "", "vm-"+format, disk)
		st, err := os.Stat(disk)
		if err != nil {
			t.Fatal(err)
		}
		image := vmImage{id: id, format: format, size: st.Size()}
		for _, how := range []vmDrive{
			{"none", "threads"}, {"none", "native"}, {"none", "io_uring"}, {"writeback", "threads"}, {"writeback", "io_uring"},
		} {
			t.Run(format+"/"+how.cache+"/"+how.aio, func(t *testing.T) {
				t.Parallel()
				bootAgain(t, g, image, how)
			})
		}
		t.Run(format+"/four", func(t *testing.T) {
			t.Parallel()
			bootFour(t, g, image)
		})
	}
}

// A vmDrive is how qemu reads a disk.
type vmDrive struct{ cache, aio string }

// A vmImage is the disk at the service.
type vmImage struct {
	id, format string
	size       int64
}

// moreBoots is how many boots may follow the first until one of them fetches
// nothing: a busy machine makes another order of things, in which now and then
// a block is read that was not read before.
const moreBoots = 3

func bootAgain(t *testing.T, g *glance, image vmImage, how vmDrive) {
	passing := newMeter(t, g.URL)
	m := mount(t, "--endpoint", passing.URL, "--allow-other")
	data := filepath.Join(m.Dir, "images", image.id, "data")
	if err := bootVM(data, image.format, how); err != nil {
		t.Fatal(err)
	}
	first := passing.bytes()
	t.Logf("%d MB of %d fetched", first>>20, image.size>>20)
	if first > image.size/10 {
		t.Errorf("the first boot fetched %d bytes of an image of %d", first, image.size)
	}
	if err := m.quiet(); err != nil {
		t.Fatal(err)
	}
	m.Stop(t)
	m.Again(t)
	for boot, before := 1, first; ; boot++ {
		if err := bootVM(data, image.format, how); err != nil {
			t.Fatal(err)
		}
		more := passing.bytes() - before
		before += more
		if more == 0 {
			break
		}
		t.Logf("boot %d fetched %d bytes more", boot+1, more)
		if boot == moreBoots {
			t.Error("no boot fetched nothing")
			break
		}
	}
	if again := passing.again(); again > 0 {
		t.Errorf("%d bytes were fetched twice", again)
	}
}

func bootFour(t *testing.T, g *glance, image vmImage) {
	passing := newMeter(t, g.URL)
	m := mount(t, "--endpoint", passing.URL, "--allow-other")
	data := filepath.Join(m.Dir, "images", image.id, "data")
	var machines sync.WaitGroup
	for range 4 {
		machines.Go(func() {
			if err := bootVM(data, image.format, vmDrive{"none", "io_uring"}); err != nil {
				t.Error(err)
			}
		})
	}
	machines.Wait()
	t.Logf("%d MB of %d fetched", passing.bytes()>>20, image.size>>20)
	if again := passing.again(); again > 0 {
		t.Errorf("%d bytes were fetched twice", again)
	}
}

// makeDisk makes the disk where it is missing.
func makeDisk(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	c, err := command(ctx, nil, "sh", "vm-disk.sh", dir)
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		t.Fatal(err, " (is sh integration/install.sh vm done?)")
	}
}

// bootVM runs a machine until it has powered itself off, which it does when it
// has said that it is up.
func bootVM(data, format string, how vmDrive) error {
	dir, err := os.MkdirTemp(scratch(), "vm")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay := filepath.Join(dir, "overlay.qcow2")
	if _, err := try(nil, "qemu-img", "create", "-q", "-f", "qcow2", "-b", data, "-F", format, overlay); err != nil {
		return err
	}
	for _, path := range []string{dir, overlay} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), vmPatience)
	defer cancel()
	drive := "if=virtio,format=qcow2,file=" + overlay + ",cache=" + how.cache + ",aio=" + how.aio
	c, err := command(ctx, nil, "setpriv", "--reuid", fmt.Sprint(nobody), "--regid", fmt.Sprint(nobody), "--clear-groups",
		"qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
		"-serial", "stdio", "-drive", drive)
	if err != nil {
		return err
	}
	var console, complaints bytes.Buffer
	c.Stdout, c.Stderr = &console, &complaints
	kill := c.Cancel
	c.Cancel = func() error {
		fmt.Fprintf(&complaints, "no end after %v; its threads:\n%s", vmPatience, threadStates(c.Process.Pid))
		return kill()
	}
	if err := c.Run(); err != nil {
		return fmt.Errorf("qemu: %w: %s\nconsole:\n%s", err, &complaints, &console)
	}
	if !strings.Contains(console.String(), "BOOTED ") {
		return fmt.Errorf("the machine ended and was not up\nconsole:\n%s", &console)
	}
	return nil
}

// threadStates is where in the kernel the threads of a process are.
func threadStates(pid int) string {
	var b strings.Builder
	stacks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid))
	for _, file := range stacks {
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		stack, _ := os.ReadFile(file)
		fmt.Fprintf(&b, "%s%s", name, stack)
	}
	return b.String()
}
