package integration

import (
	"context"
	"crypto/sha512"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
)

// A soakUploader makes one image after the other of random files, and looks after
// each cp that says it is done that the service has exactly those bytes. A cp that
// fails has to say why, and must end.
type soakUploader struct {
	t       *testing.T
	service *glancetest.Server
	mount   *Mount
	dir     string
	rng     *rand.Rand

	hashes       map[string]string // of what was sent, by name
	done, failed int
	cancel       context.CancelFunc
	ended        chan struct{}
}

// maxSoakUpload bounds a file in bytes.
const maxSoakUpload = 6 << 20

func (u *soakUploader) start() {
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel, u.ended = cancel, make(chan struct{})
	go func() {
		defer close(u.ended)
		for ctx.Err() == nil {
			u.upload(ctx)
			select {
			case <-time.After(between(u.rng, 0, 2*time.Second)):
			case <-ctx.Done():
			}
		}
	}()
}

// stop kills the program at work and waits until it is gone.
func (u *soakUploader) stop() {
	if u.cancel != nil {
		u.cancel()
		<-u.ended
	}
}

func (u *soakUploader) upload(ctx context.Context) {
	name := fmt.Sprintf("up-%d", len(u.hashes))
	data, source := noise(name, 1+u.rng.IntN(maxSoakUpload)), filepath.Join(u.dir, name)
	u.hashes[name] = fmt.Sprintf("%x", sha512.Sum512(data))
	if err := os.WriteFile(source, data, 0o600); err != nil {
		u.t.Error(err)
		return
	}
	defer os.Remove(source)
	entry := filepath.Join(u.mount.Dir, "incoming", name)
	out, err := u.run(ctx, "cp", source, entry)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && out == "":
		u.t.Errorf("an upload failed and does not say why: %v", err)
	case err != nil:
		u.failed++
		u.run(ctx, "rm", "-f", entry) // which may fail as well
		return
	}
	u.done++
	to, err := u.run(ctx, "readlink", entry)
	if err != nil {
		return // glancefs has died since
	}
	id := filepath.Base(filepath.Dir(strings.TrimSpace(to)))
	if rec, ok := u.service.Images.Image(id); !ok || rec.Status != "active" || rec.HashValue != u.hashes[name] {
		u.t.Errorf("the upload of %s ended well, and the service has %+v", name, rec)
	}
	u.run(ctx, "rmdir", filepath.Join(u.mount.Dir, "images", id)) // which may fail
}

// run runs a program for as long as uploads may take, and returns what it says.
func (u *soakUploader) run(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s had no end", name))
	defer cancel()
	c, err := command(ctx, nil, name, args...)
	if err != nil {
		return "", err
	}
	out, err := c.CombinedOutput()
	if ctx.Err() == context.DeadlineExceeded {
		u.t.Error(context.Cause(ctx))
	}
	return string(out), err
}

// check compares every image that came of it with what was sent, once the uploads
// that go on without their writers are over: nothing is left half-made.
func (u *soakUploader) check() {
	t := u.t
	t.Helper()
	status := filepath.Join(u.mount.Dir, ".glancefs/status.json")
	err := eventually("the end of uploads", func() (bool, error) {
		out, err := try(nil, "jq", `[.uploads[] | select(.state != "failed" and .state != "draft")] | length`, status)
		return string(out) == "0\n", fmt.Errorf("%s under way: %w", out, err)
	})
	if err != nil {
		t.Error(err)
	}
	for name, hash := range u.hashes {
		for _, i := range named(t, u.service.URL, "", name) {
			if i.Status != "active" || i.HashValue != hash {
				t.Errorf("of %s is left: %+v", name, i)
			}
		}
	}
}
