package glanceapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// A service that refuses in the midst of an upload, and closes the connection
// behind its answer, is understood at once. That is a matter of which of the two
// is noticed first, so it is tried several times.
func TestUploadRefusedInTheMidst(t *testing.T) {
	const tries = 40
	var puts atomic.Int64
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			io.WriteString(w, `{"id":"`+id1+`","status":"queued"}`)
			return
		}
		puts.Add(1)
		io.CopyN(io.Discard, r.Body, 1<<20)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 24\r\n\r\n{\"message\":\"over quota\"}")
		conn.Close()
	})
	data := make([]byte, 16<<20)
	for range tries {
		if err := c.Upload(t.Context(), id1, bytes.NewReader(data), int64(len(data)), UploadOptions{}); !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
	}
	if n := puts.Load(); n != tries {
		t.Errorf("%d uploads were sent %d times", tries, n)
	}
}

// A service that refuses before it reads is sent nothing, also if it does not say
// that it closes the connection.
func TestUploadRefusedBefore(t *testing.T) {
	behind := make(chan int64, 1)
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			return
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 24\r\n\r\n{\"message\":\"over quota\"}")
		n, _ := io.Copy(io.Discard, buf)
		behind <- n
	})
	data := make([]byte, 16<<20)
	if err := c.Upload(t.Context(), id1, bytes.NewReader(data), int64(len(data)), UploadOptions{}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if n := <-behind; n > 0 {
		t.Errorf("%d bytes were sent behind the refusal", n)
	}
}

// Of an upload that is cut off it is told that the other side has closed the
// connection, not that this one then has.
func TestUploadCutOff(t *testing.T) {
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			io.WriteString(w, `{"id":"`+id1+`","status":"queued"}`)
			return
		}
		io.CopyN(io.Discard, r.Body, 1<<20)
		panic(http.ErrAbortHandler)
	})
	data := make([]byte, 16<<20)
	for range 20 {
		err := c.Upload(t.Context(), id1, bytes.NewReader(data), int64(len(data)), UploadOptions{})
		if !Temporary(err) || errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	}
}
