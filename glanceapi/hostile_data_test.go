package glanceapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHostileData opens streams whose answers lie about what they carry.
func TestHostileData(t *testing.T) {
	data := make([]byte, 1000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	part := func(status int, contentRange string, body []byte, chunked bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			if !chunked {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			w.WriteHeader(status)
			w.Write(body[:len(body)/2])
			if chunked {
				http.NewResponseController(w).Flush()
			}
			w.Write(body[len(body)/2:])
		}
	}
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want string // in the error; "" for the right bytes
	}{
		{"honest", part(206, "bytes 100-199/1000", data[100:200], true), ""},
		{"honest, in capitals", part(206, "Bytes 100-199/1000", data[100:200], false), ""},
		{"another unit", part(206, "blocks 100-199/1000", data[100:200], false), "asked for"},
		{"another range", part(206, "bytes 200-299/1000", data[200:300], false), "asked for"},
		{"an earlier range", part(206, "bytes 0-99/1000", data[:100], false), "asked for"},
		{"a wider range", part(206, "bytes 100-299/1000", data[100:300], false), "asked for"},
		{"another total", part(206, "bytes 100-199/999", data[100:200], false), "asked for"},
		{"no range", part(206, "", data[100:200], false), "asked for"},
		{"several", part(206, "bytes 100-199,300-399/1000", data[100:200], false), "asked for"},
		{"negative", part(206, "bytes -100-199/1000", data[100:200], false), "asked for"},
		{"huge", part(206, "bytes 100-9223372036854775807/9223372036854775807", data[100:200], false), "asked for"},
		{"longer by length", part(206, "bytes 100-199/1000", data[100:300], false), "200 bytes are sent"},
		{"longer by chunks", part(206, "bytes 100-199/1000", data[100:300], true), "more data was sent"},
		{"whole, longer", part(200, "", append(data[:1000:1000], 1, 2, 3), true), "more data was sent"},
		{"whole, other size", part(200, "", data[:999], false), "999 bytes"},
		{"endless", endless("", string(data)), "more data was sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := newTestClient(t, c.h).OpenData(t.Context(), id1, 100, 100, 1000)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(d.Body)
				d.Body.Close()
				if want := data[d.Start:d.End]; !bytes.HasPrefix(want, got) {
					t.Errorf("%d bytes from %d are not the image's", len(got), d.Start)
				}
			}
			switch {
			case c.want == "" && (err != nil || !bytes.Equal(got, data[100:200])):
				t.Errorf("%d bytes, %v", len(got), err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || Temporary(err)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
