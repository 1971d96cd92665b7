package integration

import (
	"crypto/sha512"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// TestCrowd has several cp write one name at the same time, again and again, in an order
// that nobody chooses: whoever is told that all is well has made an image, of its bytes, and
// there are no others. Half of the time it is the data of a queued image.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const rounds, most = 100, 3
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	random := rand.New(rand.NewPCG(1, 2))
	var sources, hashes []string
	for i := range most {
		path, data := noiseFile(t, 100<<10+i)
		sources, hashes = append(sources, path), append(hashes, fmt.Sprintf("%x", sha512.Sum512(data)))
	}
	for round := range rounds {
		name := fmt.Sprint("disk-", round)
		path := filepath.Join(m.Dir, "incoming", name)
		queued := round%2 == 1
		if queued {
			path = filepath.Join(m.Dir, "images", s.AddQueued(t, name), "data")
		}
		wait := make([]func() error, most)
		for i := range most {
			cp, err := command(t.Context(), nil, "cp", sources[i], path)
			if err == nil {
				time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				err = cp.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			wait[i] = cp.Wait
		}
		var want []string
		for i := range most {
			if wait[i]() == nil {
				want = append(want, hashes[i])
			}
		}
		var got []string
		for _, img := range images(t, s, name) {
			if !queued || img.Status != "queued" {
				got = append(got, img.HashValue)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: there are images of %.8q, and should be of %.8q", name, got, want)
		}
	}
}
