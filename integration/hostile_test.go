package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A hostile service is an image service by its look. Its images are good and bad
// ones; what it answers to a request for the data of an image goes by its name.
type hostile struct {
	URL    string
	images []map[string]any
	data   map[string]http.HandlerFunc // by id
	stolen atomic.Int64                // requests that a redirect has brought to another host
	other  string                      // its address
	mux    *http.ServeMux
}

const hostileSize = 1 << 20

// hostileID is the id of the n-th image.
func hostileID(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

func newHostile(t *testing.T) *hostile {
	t.Helper()
	h := &hostile{data: make(map[string]http.HandlerFunc)}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { h.stolen.Add(1) }))
	t.Cleanup(other.Close)
	h.other = other.URL
	mux := http.NewServeMux()
	h.mux = mux
	mux.HandleFunc("GET /versions", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"versions":[{"id":"v2.9"}]}`) })
	mux.HandleFunc("GET /v2/images", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"images": append(h.images[:len(h.images):len(h.images)], nil)})
	})
	mux.HandleFunc("GET /v2/images/{id}", func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(h.images, func(i map[string]any) bool { return i["id"] == r.PathValue("id") })
		if i < 0 {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode(h.images[i])
	})
	mux.HandleFunc("GET /v2/images/{id}/file", func(w http.ResponseWriter, r *http.Request) { h.data[r.PathValue("id")](w, r) })
	mux.HandleFunc("GET /v2/images/{id}/members", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"members": []any{
			map[string]string{"member_id": "../../x"}, map[string]string{"member_id": "good", "status": "accepted"}, 7,
			map[string]string{"member_id": strings.Repeat("m", 300)}, map[string]string{"member_id": "nul\x00"}, map[string]string{"member_id": ".."},
		}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	h.URL = s.URL
	return h
}

// add adds an image with fields that stand before the usual ones.
func (h *hostile) add(data http.HandlerFunc, fields map[string]any) (id string) {
	id = hostileID(len(h.images))
	i := map[string]any{
		"id": id, "name": "image", "status": "active", "visibility": "shared", "size": hostileSize, "disk_format": "raw", "container_format": "bare",
		"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
	}
	for k, v := range fields {
		i[k] = v
	}
	h.images = append(h.images, i)
	h.data[id] = data
	return id
}

// stream writes zeros, endless or with a pause after each byte.
func stream(w http.ResponseWriter, pause time.Duration) {
	block := make([]byte, 64<<10)
	if pause > 0 {
		block = block[:1]
	}
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
		if pause > 0 {
			http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}
}

// TestHostileServer mounts a service that means ill. Nothing it sends gets a
// place in the tree that is not its own, hides what is good, or gives a byte that
// is not of the image it is read as; every read ends, with bytes or with an error;
// memory stays bounded; and the token goes nowhere else.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	require(t)
	h := newHostile(t)
	good := noise(t.Name(), hostileSize)
	serve := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(good)))
	}
	ok := h.add(serve, map[string]any{"name": "good"})
	for _, id := range []any{"..", "../../etc/passwd", "a/b", "/etc", "nul\x00", strings.Repeat("i", 1000), "bad\xff", "", 7.5, nil, map[string]any{}, "-rf", "."} {
		h.add(serve, map[string]any{"id": id, "name": fmt.Sprint("of ", id)})
	}
	for _, name := range []any{"..", "/", "\x00", strings.Repeat("語", 500), "a/../../b", "\n", 7, nil, []string{"x"}} {
		h.add(serve, map[string]any{"name": name})
	}
	h.add(serve, map[string]any{"name": "properties", "../x": "1", "nul\x00": "2", strings.Repeat("p", 500): "3", "": "4", "big": strings.Repeat("x", 500_000), "tags": []any{"/", "\x00", 5}})
	h.add(serve, map[string]any{"name": "too big", "x": strings.Repeat("x", 2<<20)})
	lies := map[string]http.HandlerFunc{
		"endless":     func(w http.ResponseWriter, r *http.Request) { stream(w, 0) },
		"slow":        func(w http.ResponseWriter, r *http.Request) { stream(w, 50*time.Millisecond) },
		"silent":      func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"gzip":        func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", "gzip"); serve(w, r) },
		"elsewhere":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, h.other+"/x", http.StatusFound) },
		"circle":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
		"other range": func(w http.ResponseWriter, r *http.Request) { lie(w, "bytes 4096-69631/1048576", good[4096:69632]) },
		"wrong total": func(w http.ResponseWriter, r *http.Request) { lie(w, "bytes 0-65535/99999999", good[:65536]) },
		"long headers": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2<<20))
			serve(w, r)
		},
	}
	liars := make(map[string]string)
	for name, data := range lies {
		liars[name] = h.add(data, map[string]any{"name": "lie: " + name})
	}
	longer := h.add(func(w http.ResponseWriter, r *http.Request) {
		conn, to, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(to, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(good), good, strings.Repeat("unasked ", 1000))
		to.Flush()
	}, map[string]any{"name": "longer"})
	giant := h.add(serve, map[string]any{"name": "giant", "size": int64(math.MaxInt64)})
	m := mountEnv(t, []string{"OS_TOKEN=secret"}, "--endpoint", h.URL, "--timeout", "3s", "--refresh", "1s")

	// The tree: every name is one file, in its place.
	out := string(run(t, "find", m.Dir, "-mindepth", "2", "-maxdepth", "2", "-path", "*/images/*", "-printf", `%f\0`))
	ids := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for _, id := range ids {
		if len(id) != 36 {
			t.Errorf("images/%q is listed", id)
		}
	}
	if want := 1 + 9 + 1 + len(lies) + 2; len(ids) != want {
		t.Errorf("%d images are listed, want %d: %q\n%s", len(ids), want, ids, m.Stderr)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(run(t, "find", filepath.Join(m.Dir, "by-name"), "-mindepth", "1", "-printf", `%f>%l\0`)), "\x00"), "\x00") {
		name, to, _ := strings.Cut(name, ">")
		if id, ok := strings.CutPrefix(to, "../images/"); !ok || len(id) != 36 || strings.ContainsAny(name, "\n\x00") || len(name) > 255 {
			t.Errorf("by-name/%q -> %q", name, to)
		}
	}
	if got := string(run(t, "ls", "-A", filepath.Join(m.Dir, "images", ok, "members"))); got != "%2E%2E\n..%2F..%2Fx\ngood\nnul%00\n" {
		t.Errorf("members: %q", got)
	}
	run(t, "sh", "-c", `find "$1" -type f ! -name data -exec cat {} + >/dev/null && ls -lR "$1" >/dev/null && getfattr -dR "$1/images" >/dev/null`, "sh", m.Dir)

	// The data.
	sha512sum(t, filepath.Join(m.Dir, "by-name/good/data"), good)
	for name, id := range liars {
		begun := time.Now()
		out, err := try(nil, "head", "-c", "1000000", filepath.Join(m.Dir, "images", id, "data"))
		took := time.Since(begun)
		switch name {
		case "endless": // it has no checksum, and gives as many bytes as it has said
			if err != nil || len(out) != 1000000 {
				t.Errorf("%s: %d bytes, %v", name, len(out), err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), "Input/output error") || !strings.HasPrefix(string(good), string(out)) && name != "slow" {
				t.Errorf("%s: %d bytes, %v", name, len(out), err)
			}
		}
		if took > 30*time.Second {
			t.Errorf("%s: after %v", name, took)
		}
	}
	sha512sum(t, filepath.Join(m.Dir, "images", longer, "data"), good)
	if log := m.Stderr.String(); strings.Contains(log, "unasked") {
		t.Errorf("the log has what was sent unasked:\n%s", log)
	}
	if n, err := try(nil, "stat", "-c", "%s", filepath.Join(m.Dir, "images", giant, "data")); err != nil || strings.TrimSpace(string(n)) != fmt.Sprint(int64(math.MaxInt64)) {
		t.Errorf("the size of a giant: %s, %v", n, err)
	}
	for _, skip := range []string{"0", "1000000000000", "2251799813685247"} {
		if _, err := try(nil, "dd", "if="+filepath.Join(m.Dir, "images", giant, "data"), "of=/dev/null", "bs=4096", "count=1", "skip="+skip); err == nil {
			t.Errorf("a giant has bytes at block %s", skip)
		}
	}
	sha512sum(t, filepath.Join(m.Dir, "images", ok, "data"), good)
	if n := h.stolen.Load(); n > 0 {
		t.Errorf("another host was asked %d times", n)
	}
	if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 384<<10 {
		t.Errorf("glancefs took %d KiB", kib)
	}
}

// lie answers a request for any range with this one.
func lie(w http.ResponseWriter, contentRange string, data []byte) {
	w.Header().Set("Content-Range", contentRange)
	w.WriteHeader(http.StatusPartialContent)
	w.Write(data)
}

// TestHugeListing is sent a listing without an end, which ends with an error.
func TestHugeListing(t *testing.T) {
	t.Parallel()
	require(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/versions" {
			io.WriteString(w, `{"versions":[{"id":"v2.9"}]}`)
			return
		}
		io.WriteString(w, `{"images":[`)
		for { // one answer without an end
			if _, err := io.WriteString(w, strings.Repeat(`{"id":"a"},`, 1000)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	m := mount(t, "--endpoint", s.URL, "--timeout", "3s")
	if _, err := try(nil, "ls", filepath.Join(m.Dir, "images")); err == nil || !strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("listed: %v", err)
	}
	m.says(t, "the answer is longer than 16 MiB")
	run(t, "df", m.Dir)
	if kib := peakRSS(t, m); os.Getenv("GLANCEFS_RACE") != "1" && kib > 256<<10 {
		t.Errorf("glancefs took %d KiB", kib)
	}
}
