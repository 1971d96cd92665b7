package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"strings"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// An origin is an image server in a process of its own, so that what it costs
// is not taken for a client's cost. Its data is in the kernel's memory, so what
// is measured is never how fast it reads a disk.
type origin struct {
	URL string
	rpc *rpc.Client
}

// A Link is what lies between a client and the origin.
type Link struct {
	Name    string           `json:"name"`
	Latency time.Duration    `json:"latency"` // of each request, until the answer begins
	Rate    int64            `json:"rate"`    // of each connection, in bytes a second; 0 for no limit
	Ranges  server.RangeMode `json:"ranges"`
}

// Counts is what the origin sent since it was last asked.
type Counts struct {
	Bytes    int64 // of image data
	Requests int   // for image data
	Running  int   // requests that are still answered
}

// An OriginImage is noise of some size.
type OriginImage struct {
	Name string
	Size int64
}

// startOrigin starts the process, which ends with tb.
func startOrigin(tb testing.TB) *origin {
	tb.Helper()
	dir, err := os.MkdirTemp(scratch(), "origin")
	if err != nil {
		tb.Fatal(err)
	}
	c, err := command(context.Background(), nil, originProgram, dir)
	if err != nil {
		tb.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		tb.Fatal(err)
	}
	o := &origin{rpc: jsonrpc.NewClient(pipes{out, in})}
	tb.Cleanup(func() {
		o.rpc.Close() // ends its input
		c.Wait()
		os.RemoveAll(dir)
	})
	o.call(tb, "URL", struct{}{}, &o.URL)
	return o
}

func (o *origin) call(tb testing.TB, method string, args, reply any) {
	tb.Helper()
	if err := o.rpc.Call("Origin."+method, args, reply); err != nil {
		tb.Fatalf("origin: %s: %v", method, err)
	}
}

// add makes an image and returns its id.
func (o *origin) add(tb testing.TB, name string, size int64) (id string) {
	tb.Helper()
	o.call(tb, "Add", OriginImage{name, size}, &id)
	return id
}

func (o *origin) link(tb testing.TB, l Link) {
	tb.Helper()
	o.call(tb, "Link", l, new(bool))
}

// counts returns what was sent since the last call, and begins to count anew.
func (o *origin) counts(tb testing.TB) (c Counts) {
	tb.Helper()
	o.call(tb, "Counts", struct{}{}, &c)
	return c
}

func (o *origin) running(tb testing.TB) (n int) {
	tb.Helper()
	o.call(tb, "Running", struct{}{}, &n)
	return n
}

func (o *origin) file(id string) string { return o.URL + "/v2/images/" + id + "/file" }

// pipes is the two ends of a process's standard input and output.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error { return p.WriteCloser.Close() }

// originProgram is the name by which this test binary is an origin. It takes a
// directory for its images, and what it is asked by JSON-RPC on its standard
// input; it ends with that.
const originProgram = "bench-origin"

func originMain(dir string) error {
	images, err := server.New(dir)
	if err != nil {
		return err
	}
	s := glancetest.Over(images)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go http.Serve(l, &plainFiles{s})
	calls := rpc.NewServer()
	if err := calls.Register(&Origin{s, "http://" + l.Addr().String()}); err != nil {
		return err
	}
	calls.ServeCodec(jsonrpc.NewServerCodec(pipes{os.Stdin, os.Stdout}))
	return nil
}

// An Origin answers the calls of origin.
type Origin struct {
	images *glancetest.Server
	url    string
}

func (o *Origin) URL(_ struct{}, url *string) error {
	*url = o.url
	return nil
}

func (o *Origin) Add(i OriginImage, id *string) error {
	noise := rand.NewChaCha8(sha256.Sum256([]byte(i.Name)))
	rec := server.Record{Name: &i.Name, DiskFormat: "raw", ContainerFormat: "bare"}
	added, err := o.images.Images.Add(rec, io.LimitReader(noise, i.Size))
	*id = added.ID
	return err
}

func (o *Origin) Link(l Link, _ *bool) error {
	o.images.SetFaults(
		glancetest.Fault{Latency: l.Latency, Ranges: l.Ranges},
		glancetest.Fault{Match: glancetest.IsData, Rate: l.Rate},
	)
	return nil
}

func (o *Origin) Counts(_ struct{}, c *Counts) error {
	c.Running = o.images.Running()
	for _, q := range o.images.Requests() {
		if q.Image != "" {
			c.Bytes += q.Sent
			c.Requests++
		}
	}
	o.images.Reset()
	return nil
}

func (o *Origin) Running(_ struct{}, n *int) error {
	*n = o.images.Running()
	return nil
}

// plainFiles shows each image as a file "disk" in a directory /plain/ID/ too,
// as web servers show files, since that is what the peers can read. It is the
// same request to the same server then.
type plainFiles struct{ images *glancetest.Server }

func (p *plainFiles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, plain := strings.CutPrefix(r.URL.Path, "/plain/")
	id, file, _ := strings.Cut(path, "/")
	rec, known := p.images.Images.Image(id)
	switch {
	case !plain:
		p.images.ServeHTTP(w, r)
	case !known || file != "" && file != "disk":
		http.NotFound(w, r)
	case file == "":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<html><body><a href="disk">disk</a></body></html>`)
	case r.Method == http.MethodHead:
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", fmt.Sprint(*rec.Size))
		w.Header().Set("Last-Modified", rec.UpdatedAt.Format(http.TimeFormat))
	default:
		w.Header().Set("Accept-Ranges", "bytes")
		q := r.Clone(r.Context())
		q.URL.Path = "/v2/images/" + id + "/file"
		p.images.ServeHTTP(w, q)
	}
}
