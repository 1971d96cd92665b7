package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// create makes a queued image over HTTP and returns its path.
func (s *site) create(t *testing.T, fields string) string {
	t.Helper()
	made := s.do(t, ask{method: "POST", path: "/v2/images", token: demo, body: fields})
	if made.status != 201 {
		t.Fatal(made)
	}
	return "/v2/images/" + made.field("id").(string)
}

const formats = `{"disk_format":"raw","container_format":"bare","visibility":"community"}`

func TestUpload(t *testing.T) {
	s := newSite(t)
	path := s.create(t, formats)
	for _, c := range []struct {
		path, media, token string
		status             int
		message            string
	}{
		{path, "application/json", demo, 415, "The request media type application/json is not supported by this server."},
		{path, octets, other, 403, "Not allowed to upload image data for image " + strings.TrimPrefix(path, "/v2/images/")},
		{s.create(t, `{}`), octets, demo, 400, "Properties disk_format, container_format must be set prior to saving data."},
		{s.create(t, `{"disk_format":"raw"}`), octets, demo, 400, "Property container_format must be set prior to saving data."},
		{path, octets, demo, 204, ""},
		{path, octets, demo, 409, "Image status transition from active to saving is not allowed"},
	} {
		got := s.do(t, ask{method: "PUT", path: c.path + "/file", media: c.media, token: c.token, body: "0123456789"})
		if got.status != c.status || got.message() != c.message {
			t.Errorf("PUT as %s: %d %q, want %d %q", c.token, got.status, got.message(), c.status, c.message)
		}
	}
	got := s.get(t, path)
	for key, want := range map[string]any{
		"status": "active", "size": 10.0, "virtual_size": 10.0, "checksum": "781e5e245d69b566979b86e28d23f2c7", "os_hash_algo": "sha512",
		"os_hash_value": "bb96c2fc40d2d54617d6f276febe571f623a8dadf0b734855299b0e107fda32cf6b69f2da32b36445d73690b93cbd0f7bfc20e0f7f28553d2a4428f23b716e90",
	} {
		if got.field(key) != want {
			t.Errorf("%s is %v, want %v", key, got.field(key), want)
		}
	}
}

func TestEmptyUpload(t *testing.T) {
	s := newSite(t)
	path := s.create(t, formats)
	s.do(t, ask{method: "PUT", path: path + "/file", media: octets, token: demo})
	got := s.get(t, path)
	if got.field("status") != "active" || got.field("size") != 0.0 || got.field("virtual_size") != nil {
		t.Errorf("after an upload of nothing: %s", got.body)
	}
}

// An upload that the test feeds byte by byte.
type slowUpload struct {
	conn  net.Conn
	reply *bufio.Reader
}

func (s *site) startUpload(t *testing.T, path string, length int, data string) *slowUpload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "PUT %s/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, demo, octets, length, data)
	s.await(t, path, "saving")
	return &slowUpload{conn, bufio.NewReader(conn)}
}

// await waits until the image has that status.
func (s *site) await(t *testing.T, path, status string) {
	t.Helper()
	var got any
	for range 1000 {
		if got = s.get(t, path).field("status"); got == status {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("status is %v, want %s", got, status)
}

func TestWhileSaving(t *testing.T) {
	s := newSite(t)
	path := s.create(t, formats)
	up := s.startUpload(t, path, 10, "01234")
	for _, c := range []struct {
		a    ask
		want int
	}{
		{ask{method: "GET", path: path + "/file"}, 204},
		{ask{method: "GET", path: path + "/file", header: map[string]string{"Range": "bytes=0-9"}}, 500},
		{ask{method: "PUT", path: path + "/file", media: octets, token: demo, body: "x"}, 409},
		{ask{method: "PATCH", path: path, media: patchV21, token: demo, body: `[{"op":"add","path":"/p","value":"v"}]`}, 200},
	} {
		if got := s.do(t, c.a); got.status != c.want {
			t.Errorf("%s %s while saving: %d, want %d", c.a.method, c.a.path, got.status, c.want)
		}
	}
	io.WriteString(up.conn, "56789")
	resp, err := http.ReadResponse(up.reply, nil)
	if err != nil || resp.StatusCode != 204 {
		t.Fatal(resp, err)
	}
	if got := s.get(t, path); got.field("status") != "active" || got.field("p") != "v" {
		t.Errorf("after it: %s", got.body)
	}
}

func TestDeletedWhileSaving(t *testing.T) {
	dir := t.TempDir()
	s := startSite(t, dir)
	path := s.create(t, formats)
	up := s.startUpload(t, path, 10, "01234")
	if got := s.do(t, ask{method: "DELETE", path: path, token: demo}); got.status != 204 {
		t.Fatal(got)
	}
	io.WriteString(up.conn, "56789")
	resp, err := http.ReadResponse(up.reply, nil)
	if err != nil || resp.StatusCode != 410 {
		t.Fatal(resp, err)
	}
	noFiles(t, dir)
}

func TestAbortedUpload(t *testing.T) {
	dir := t.TempDir()
	s := startSite(t, dir)
	path := s.create(t, formats)
	up := s.startUpload(t, path, 10, "01234")
	up.conn.Close()
	s.await(t, path, "queued")
	noFiles(t, dir)
	if got := s.do(t, ask{method: "PUT", path: path + "/file", media: octets, token: demo, body: "again"}); got.status != 204 {
		t.Errorf("the second attempt: %d", got.status)
	}
	if got := s.get(t, path+"/file"); got.body != "again" {
		t.Errorf("the data is %q", got.body)
	}
}

// noFiles checks that no data is left in an image directory.
func noFiles(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"data/*", "tmp/*"} {
		if files, _ := filepath.Glob(filepath.Join(dir, pattern)); files != nil {
			t.Errorf("left behind: %v", files)
		}
	}
}

func TestRefusalBeforeBody(t *testing.T) {
	s := newSite(t)
	id := s.put(t, Record{Owner: "demo"}, "x")
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /v2/images/%s/file HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n", id, octets)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 409 {
		t.Fatal(resp, err)
	}
}
