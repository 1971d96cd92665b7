package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// TestNames lists and resolves names that cannot be file names, on a server
// that has any.
func TestNames(t *testing.T) {
	s := glancetest.New(t)
	long := strings.Repeat("語", 100)
	names := map[string]string{ // and what they show as; @ for @ID
		"plain": "plain", "a/b": "a%2Fb", "..": "%2E%2E", ".": "%2E", "two\nlines": "two%0Alines",
		"nul\x00": "nul%00", "bad\xff\xfe": "bad%FF%FE", "100%": "100%25", "-rf": "-rf", " ": " ",
		"": "@", long: strings.Repeat("語", 72) + "@", "../../../etc/passwd": "..%2F..%2F..%2Fetc%2Fpasswd",
	}
	want := make(map[string][]byte)
	for name, entry := range names {
		data := noise(t.Name(), 1000+len(want))
		id := s.Add(t, name, data)
		if strings.HasSuffix(entry, "@") {
			entry += id
		}
		want[entry] = data
	}
	for _, refresh := range []string{"1h", "1ns"} { // answered from the listing, and by the service
		t.Run("refresh "+refresh, func(t *testing.T) {
			m := mount(t, "--endpoint", s.URL, "--refresh", refresh)
			byName := filepath.Join(m.Dir, "by-name")
			got := strings.Split(strings.TrimSuffix(string(run(t, "find", byName, "-mindepth", "1", "-printf", `%f\0`)), "\x00"), "\x00")
			if len(got) != len(want) {
				t.Errorf("%d names listed, want %d: %q", len(got), len(want), got)
			}
			for _, entry := range got {
				data, ok := want[entry]
				if !ok {
					t.Errorf("%q is listed", entry)
					continue
				}
				sha512sum(t, filepath.Join(byName, entry, "data"), data)
			}
			for _, wrong := range []string{"a%2fb", "%70lain", "bad\xff\xfe", "nothing"} {
				if _, err := try(nil, "stat", filepath.Join(byName, wrong)); err == nil || !strings.Contains(err.Error(), "No such file") {
					t.Errorf("%q: %v", wrong, err)
				}
			}
		})
	}
}

// TestStates opens images without readable data; each state has its error.
func TestStates(t *testing.T) {
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL)
	for status, want := range map[string]string{
		"queued": "", "saving": "busy", "uploading": "busy", "importing": "busy",
		"deactivated": "Permission denied", "killed": "No data available", "pending_delete": "No data available",
	} {
		id := s.AddQueued(t, status, func(r *server.Record) { r.Status = status })
		out, err := try(nil, "cat", filepath.Join(m.Dir, "images", id, "data"))
		if want == "" && (err != nil || len(out) > 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v, want %q", status, out, err, want)
		}
	}
}

// TestDataRefused reads images whose data the service does not give.
func TestDataRefused(t *testing.T) {
	s := glancetest.New(t)
	m := mount(t, "--endpoint", s.URL, "--timeout", "1s")
	for status, want := range map[int]string{
		http.StatusForbidden: "Permission denied", http.StatusNotFound: "No data available", http.StatusNoContent: "No data available",
		http.StatusBadRequest: "Input/output error", http.StatusRequestedRangeNotSatisfiable: "Input/output error", http.StatusFound: "Input/output error",
	} {
		id := s.Add(t, "disk", noise(t.Name(), 1000))
		s.SetFaults(glancetest.Fault{Match: glancetest.IsData, Status: status})
		_, err := try(nil, "cat", filepath.Join(m.Dir, "images", id, "data"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
}

// TestRefused does what must not work, and sees it not work.
func TestRefused(t *testing.T) {
	s := glancetest.New(t)
	id := s.Add(t, "disk", noise(t.Name(), 1000))
	m := mount(t, "--endpoint", s.URL)
	image := filepath.Join(m.Dir, "images", id)
	for _, c := range [][]string{
		{"rm", "-f", image + "/data"}, {"rm", "-rf", image}, {"rmdir", image}, {"rm", m.Dir + "/by-name/disk"},
		{"touch", image + "/data"}, {"truncate", "-s", "0", image + "/data"}, {"dd", "if=/dev/zero", "of=" + image + "/data", "count=1", "conv=notrunc"},
		{"chmod", "600", image + "/data"}, {"mv", image + "/data", image + "/x"}, {"mkdir", m.Dir + "/images/x"}, {"touch", m.Dir + "/x"},
	} {
		if _, err := try(nil, c[0], c[1:]...); err == nil {
			t.Errorf("%v succeeds", c)
		}
	}
	if out := run(t, "cat", image+"/data"); len(out) != 1000 {
		t.Errorf("%d bytes left", len(out))
	}
	if len(s.Requests()) == 0 {
		t.Error("nothing was asked")
	}
	for _, r := range s.Requests() {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.Path)
		}
	}
}
