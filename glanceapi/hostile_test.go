package glanceapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// endless is a body that goes on for as long as somebody reads, beginning with
// some bytes and then the same ones over and over.
func endless(begin, repeat string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, begin)
		block := []byte(strings.Repeat(repeat, 1+(64<<10)/len(repeat)))
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
}

// trickle answers with text a byte at a time, headers too.
func trickle(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		for i := range len(text) {
			if _, err := conn.Write([]byte{text[i]}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// TestHostileAnswers asks for one image and for a list, and is answered with what
// no service means well with: an error that says so comes of it, in bounded time
// and memory.
func TestHostileAnswers(t *testing.T) {
	many := func(record string, n int) string {
		return `{"images":[` + strings.Repeat(record+",", n) + record + `]}`
	}
	for _, c := range []struct {
		name  string
		h     http.HandlerFunc
		image string // in the error about one image
		list  string // in the error about a list
	}{
		{"endless spaces", endless("", " "), "longer than 16 MiB", "longer than 16 MiB"},
		{"endless list", endless(`{"images":[`, `{"id":"a"},`), "longer than 16 MiB", "longer than 16 MiB"},
		{"empty records", answer(200, many(`{}`, 3<<20)), "cannot be read", "more images in one answer"},
		{"tiny records", answer(200, many(`{"id":"a"}`, 1<<20)), "cannot be read", "more images in one answer"},
		{"properties", answer(200, many(`{"id":"a",`+strings.Repeat(`"k":"",`, 4<<10)+`"x":""}`, 400)), "cannot be read", ""},
		{"deep", answer(200, `{"images":[{"id":"a","x":`+strings.Repeat("[", 1<<20)), "cannot be read", "cannot be read"},
		{"deep and closed", answer(200, `{"images":`+strings.Repeat("[", 1<<20)+strings.Repeat("]", 1<<20)+`}`), "cannot be read", "cannot be read"},
		{"no list", answer(200, `{}`), "no id", "no list"},
		{"another list", answer(200, `{"images":{"id":"a"}}`), "", "no list"},
		{"not JSON", answer(200, "<html>Log in</html>"), "cannot be read", "cannot be read"},
		{"gzip", answer(200, string(zipped(strings.Repeat(" ", 64<<20))), "Content-Encoding", "gzip"), "encoded as gzip", "encoded as gzip"},
		{"endless headers", endlessHeaders, "header", "header"},
		{"header a byte at a time", trickle("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 4096)), "no answer in time", "no answer in time"},
		{"body a byte at a time", trickle("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + strings.Repeat(" ", 4096)), "no answer in time", "no answer in time"},
		{"another host", redirectTo("http://127.0.0.1:1/v2/images"), "redirected to http://127.0.0.1:1", "redirected to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.h)
			timeout := 30 * time.Second // a busy machine takes a while to read so much
			if c.image == "no answer in time" || c.image == "header" {
				timeout = time.Second // which is when it ends
			}
			client := newClientOf(t, Config{Endpoint: s.URL, Timeout: timeout, Token: "t"})
			_, err := client.Image(t.Context(), id1)
			if err == nil || !strings.Contains(err.Error(), c.image) && c.image != "no id" || len(err.Error()) > 2*maxMessage {
				t.Errorf("an image: %v", err)
			}
			var most uint64
			_, err = collectMeasured(t, client, &most)
			if c.list == "" && err != nil || c.list != "" && (err == nil || !strings.Contains(err.Error(), c.list) || len(err.Error()) > 2*maxMessage) {
				t.Errorf("a list: %v", err)
			}
			if most > 400<<20 {
				t.Errorf("%d MiB in use", most>>20)
			}
		})
	}
}

func collectMeasured(t *testing.T, c *Client, most *uint64) ([][]string, error) {
	t.Helper()
	all, err := collect(t, c, Query{})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*most = m.HeapInuse
	return all, err
}

func endlessHeaders(w http.ResponseWriter, r *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	line := []byte("X-Header: " + strings.Repeat("x", 1000) + "\r\n")
	for {
		if _, err := conn.Write(line); err != nil {
			return
		}
	}
}

func redirectTo(url string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
}

// TestAbsurdRecord has records in a page that are none, or cannot be used. They
// do not hide the others, nor end the walk.
func TestAbsurdRecord(t *testing.T) {
	big := `{"id":"big","x":"` + strings.Repeat("x", maxRecord) + `"}`
	tags := `{"id":"tags","tags":[` + strings.Repeat("1,", 100_000) + `1]}`
	for name, absurd := range map[string]string{
		"not an object": `7`, "null": `null`, "a list": `[[[]]]`, "too large": big, "too many tags": tags, "no id": `{"name":"x"}`,
		"a path": `{"id":"../../etc"}`, "a NUL": `{"id":"a\u0000"}`, "not UTF-8": "{\"id\":\"\xff\"}", "id of an object": `{"id":{"id":"a"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, api := range []string{"v1", "v2"} {
				if absurd == tags && api == "v1" {
					continue // which has none
				}
				h := func(w http.ResponseWriter, r *http.Request) {
					if m := r.FormValue("marker"); m == "" {
						fmt.Fprintf(w, `{"images":[{"id":"a"},%s,{"id":"b"},%s],"next":"/there"}`, absurd, absurd)
					} else if m == "b" || m == "\xff" || strings.ContainsAny(m, "./{\x00") { // a real service would not know the latter
						io.WriteString(w, `{"images":[{"id":"c"}]}`)
					} else {
						http.Error(w, "marker "+m, 500)
					}
				}
				var log bytes.Buffer
				c := newClientOf(t, Config{
					Endpoint: serveBoth(t, h), APIVersion: api, Timeout: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)),
				})
				got, err := collect(t, c, Query{})
				var all []string
				for _, page := range got {
					all = append(all, page...)
				}
				if diff := cmp.Diff([]string{"a", "b", "c"}, all); err != nil || diff != "" {
					t.Errorf("%s: %v %s", api, err, diff)
				}
				if !strings.Contains(log.String(), "left out") {
					t.Errorf("%s: nothing is logged: %s", api, &log)
				}
			}
		})
	}
}

// serveBoth serves h as the list of images of both versions.
func serveBoth(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/versions", answer(200, `{"versions":[{"id":"v2.9"},{"id":"v1.1"}]}`))
	mux.HandleFunc("/v2/images", h)
	mux.HandleFunc("/v1/images/detail", h)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// TestEndlessListings: a walk that would not end by itself is given up.
func TestEndlessListings(t *testing.T) {
	var n atomic.Int64
	full := strings.Repeat(`{"id":"a"},`, 120_000)
	for _, c := range []struct {
		name, want string
		h          http.HandlerFunc
	}{
		{"the same page", "repeats itself", answer(200, `{"images":[{"id":"a"}],"next":"/a"}`)},
		{"a circle", "repeats itself", func(w http.ResponseWriter, r *http.Request) {
			next := map[string]string{"": "a", "a": "b", "b": "a"}[r.FormValue("marker")]
			fmt.Fprintf(w, `{"images":[{"id":%q}],"next":"/next"}`, next)
		}},
		{"no ids", "without an id", answer(200, `{"images":[{"name":"a"}],"next":"/a"}`)},
		{"always more", "more images than fit", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"images":[%s{"id":"z%d"}],"next":"/next"}`, full, n.Add(1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newTestClient(t, c.h)
			for _, err := range client.Images(t.Context(), Query{}) {
				if err != nil && !strings.Contains(err.Error(), c.want) {
					t.Error(err)
				}
				if err != nil {
					return
				}
			}
			t.Error("the walk ended well")
		})
	}
	// v1 looks through the whole list for what it cannot ask for by id.
	s := serveBoth(t, func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": "a", "a": "b", "b": "c"}[r.FormValue("marker")]
		fmt.Fprintf(w, `{"images":[{"id":%q}]}`, max(next, "b"))
	})
	c := newClientOf(t, Config{Endpoint: s, APIVersion: "v1", Timeout: time.Second})
	if _, err := c.Image(t.Context(), id1); err == nil {
		t.Error("an image that is not there was found")
	}
}

// TestForeignHost: whoever the service redirects to sees neither a request nor
// the token.
func TestForeignHost(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	defer other.Close()
	for _, to := range []string{other.URL + "/x", "//" + strings.TrimPrefix(other.URL, "http://") + "/x"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) })
			_, ierr := c.Image(t.Context(), id1)
			_, derr := c.OpenData(t.Context(), id1, 0, 10, 10)
			uerr := c.Upload(t.Context(), id1, bytes.NewReader(make([]byte, 10)), 10, UploadOptions{})
			_, cerr := c.Create(t.Context(), NewImage{ID: id2, Name: "x"})
			for _, err := range []error{ierr, derr, uerr, cerr} {
				if err == nil || !strings.Contains(err.Error(), "was not followed") || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%d: %v", status, err)
				}
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// TestHostileKeystone is answered by a Keystone that does not end.
func TestHostileKeystone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"endless":         endless(`{"token":{"x":"`, "x"),
		"endless refusal": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400); endless("", "x")(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			t.Setenv("OS_CLOUD", "")
			t.Setenv("OS_AUTH_URL", s.URL+"/v3")
			t.Setenv("OS_USERNAME", "u")
			t.Setenv("OS_PASSWORD", "p")
			t.Setenv("OS_PROJECT_NAME", "p")
			_, err := New(t.Context(), Config{})
			if err == nil || !strings.Contains(err.Error(), "keystone") || len(err.Error()) > 2*maxMessage {
				t.Error(err)
			}
		})
	}
}
