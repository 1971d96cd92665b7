package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The servers, each started by the first test that asks for it. They last until
// the run ends, so a test names its images like no other test does.
var (
	noauth   = sync.OnceValues(func() (*glance, error) { return newGlance("noauth") })
	norange  = sync.OnceValues(func() (*glance, error) { return newGlance("norange") })
	tokens   = sync.OnceValues(func() (*glance, error) { return newGlance("tokens") })
	keystone = sync.OnceValues(newCloud)
)

// started gives a test a server, or fails the test.
func started[S any](tb testing.TB, server func() (S, error)) S {
	tb.Helper()
	require(tb)
	s, err := server()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A glance is a running Glance.
type glance struct {
	URL string
}

// newGlance starts a Glance in one of the modes of glance.sh.
func newGlance(mode string, more ...string) (*glance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	g := &glance{URL: "http://127.0.0.1:" + port}
	dir := filepath.Join(scratch(), mode)
	return g, serve(g.URL+"/healthcheck", dir+".log", append([]string{"glance.sh", mode, dir, port}, more...)...)
}

// startLimit bounds the start of a server, where programs in Python make tables for a
// quarter of a minute when they have a processor each.
const startLimit = 4 * patience

// serve runs a server's script and returns when the URL answers. The server
// ends with the run.
func serve(url, logFile string, args ...string) error {
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	c, err := command(context.Background(), nil, "sh", args...)
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	var died error
	err = within(startLimit, url, func() (bool, error) {
		select {
		case err := <-ended:
			died = fmt.Errorf("ended: %v", err)
			return true, died
		default:
		}
		r, err := http.Get(url)
		if err != nil {
			return false, err
		}
		r.Body.Close()
		return r.StatusCode < 400, fmt.Errorf("answered %s", r.Status)
	})
	if err == nil {
		err = died
	}
	if err != nil {
		said, _ := os.ReadFile(logFile)
		return fmt.Errorf("%s (is sh integration/install.sh done?): %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}

// freePort finds a port for a program that is to listen there later. Those that the
// kernel gives to whoever does not care (ip_local_port_range) are none of them, because
// another test might be given it until then.
func freePort() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", err
}

// upload makes an active image with curl, its data that of a file, and returns
// its id. The token may be "".
func (g *glance) upload(token, name, file string) (id string, err error) {
	record, err := json.Marshal(map[string]string{"name": name, "disk_format": "raw", "container_format": "bare"})
	if err != nil {
		return "", err
	}
	answer, err := try(nil, "curl", "-sSf", "-H", "X-Auth-Token: "+token, "-H", "Content-Type: application/json",
		"-d", string(record), g.URL+"/v2/images")
	if err != nil {
		return "", err
	}
	var image struct{ ID string }
	if err := json.Unmarshal(answer, &image); err != nil {
		return "", fmt.Errorf("making image %s: %w: %s", name, err, answer)
	}
	_, err = try(nil, "curl", "-sSf", "-H", "X-Auth-Token: "+token, "-H", "Content-Type: application/octet-stream",
		"-T", file, g.URL+"/v2/images/"+image.ID+"/file")
	return image.ID, err
}

// Upload is upload for a test.
func (g *glance) Upload(tb testing.TB, token, name, file string) (id string) {
	tb.Helper()
	id, err := g.upload(token, name, file)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// noise returns n bytes that do not repeat; those of another seed differ.
func noise(seed string, n int) []byte {
	var key [32]byte
	copy(key[:], seed)
	p := make([]byte, n)
	rand.NewChaCha8(key).Read(p)
	return p
}

// noiseFile is noise as a file that anyone may read.
func noiseFile(tb testing.TB, n int) (path string, data []byte) {
	tb.Helper()
	require(tb)
	dir, err := os.MkdirTemp(scratch(), "source")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	path, data = filepath.Join(dir, "disk.raw"), noise(tb.Name(), n)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path, data
}

// sameAt checks one dd of a file at an offset against what the file must hold.
func sameAt(tb testing.TB, file string, want []byte, off, n int) {
	tb.Helper()
	got := run(tb, "dd", "if="+file, "bs=1M", "iflag=skip_bytes,count_bytes,fullblock", "status=none",
		fmt.Sprintf("skip=%d", off), fmt.Sprintf("count=%d", n))
	if !bytes.Equal(got, want[off:min(off+n, len(want))]) {
		tb.Errorf("%d bytes at %d of %s are not those of the image", n, off, file)
	}
}
