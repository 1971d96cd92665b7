package integration

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"glancefs/glanceapi/glancetest"
)

// TestSizes reads images of every size where blocks begin and end, in pieces and
// whole.
func TestSizes(t *testing.T) {
	t.Parallel()
	g := started(t, noauth)
	m := mount(t, "--endpoint", g.URL)
	for _, size := range []int{0, 1, 65535, 65536, 65537, 3141592, 100 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			source, want := noiseFile(t, size)
			id := g.Upload(t, "", t.Name(), source)
			data := filepath.Join(m.Dir, "images", id, "data")
			if got := string(run(t, "stat", "-c", "%s", data)); got != fmt.Sprintln(size) {
				t.Errorf("stat says %s bytes, want %d", got, size)
			}
			// The pieces first: most are then read with nothing cached around them.
			random := rand.New(rand.NewPCG(1, uint64(size)))
			for range min(size, 20) {
				sameAt(t, data, want, random.IntN(size), 1+random.IntN(200_000))
			}
			run(t, "cmp", source, data)
		})
	}
}

// TestKill9 kills the process under a reader. The mountpoint can be freed and
// used again, with the cache that the dead process was writing.
func TestKill9(t *testing.T) {
	t.Parallel()
	g := started(t, noauth)
	source, want := noiseFile(t, 64<<20)
	data := filepath.Join("images", g.Upload(t, "", t.Name(), source), "data")
	m := mount(t, "--endpoint", g.URL)

	// The reader stands still in the middle of the image, its pipe full.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reader, err := command(ctx, nil, "cat", filepath.Join(m.Dir, data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1<<20)
	if _, err := io.ReadFull(out, got); err != nil || !bytes.Equal(got, want[:len(got)]) {
		t.Fatalf("the first MiB is not that of the image (%v)", err)
	}
	m.Kill9(t)
	rest, err := io.ReadAll(out)
	if err != nil || !bytes.HasPrefix(want[len(got):], rest) {
		t.Errorf("the reader got bytes that are not those of the image (%v)", err)
	}
	if err := reader.Wait(); err == nil {
		t.Error("the reader of a killed glancefs did not fail")
	}
	if ctx.Err() != nil {
		t.Error("the reader of a killed glancefs hung")
	}

	run(t, "glancefs", "umount", m.Dir)
	m.Again(t)
	run(t, "cmp", source, filepath.Join(m.Dir, data))
	run(t, "glancefs", "umount", m.Dir)
	if err := m.wait(); err != nil {
		t.Error(err)
	}
}

// TestCacheTellsUnread asks what a mount holds of an image that nobody has read
// since it began.
func TestCacheTellsUnread(t *testing.T) {
	t.Parallel()
	s := glancetest.New(t)
	data := noise(t.Name(), 1<<20+17)
	id := s.Add(t, "disk", data)
	m := mount(t, "--endpoint", s.URL)
	file := filepath.Join(m.Dir, "images", id, "data")
	sha512sum(t, file, data)
	verified(t, file)
	m.Stop(t)
	m.Again(t)
	for _, attr := range []struct{ name, want string }{{"cached", fmt.Sprint(len(data))}, {"verified", "yes"}} {
		got := run(t, "getfattr", "--absolute-names", "--only-values", "-n", "user.glancefs."+attr.name, file)
		if string(got) != attr.want {
			t.Errorf("%s: %s, want %s", attr.name, got, attr.want)
		}
	}
}
