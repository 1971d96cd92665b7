package glancetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"glancefs/glanceapi/server"
)

func TestRanges(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	free := s.Add(t, "two", []byte("0123456789"))
	s.SetFaults(Fault{Match: Image(id), Ranges: server.RangesRefused})
	resp, body, _ := fetch(t, s, id, "bytes=2-4")
	if want := "Getting images randomly from this store is not supported. Offset: 2, length: 3"; resp.StatusCode != 400 || !strings.Contains(string(body), want) {
		t.Errorf("refused: %d %s", resp.StatusCode, body)
	}
	if resp, body, _ := fetch(t, s, free, "bytes=2-4"); resp.StatusCode != 206 || string(body) != "234" {
		t.Errorf("another image: %d %s", resp.StatusCode, body)
	}
	s.SetFaults(Fault{Ranges: server.RangesIgnored})
	if resp, body, _ := fetch(t, s, id, "bytes=2-4"); resp.StatusCode != 200 || string(body) != "0123456789" {
		t.Errorf("ignored: %d %s", resp.StatusCode, body)
	}
}

func TestStatus(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	s.SetFaults(
		Fault{Match: IsData, Times: 2, Status: 503},
		Fault{Match: Token("u:p:member,admin"), Times: 3, Status: 401},
	)
	for i, want := range []int{503, 503, 401, 200} {
		resp, _, err := fetch(t, s, id, "")
		if err != nil || resp.StatusCode != want {
			t.Errorf("request %d: %d, %v, want %d", i, resp.StatusCode, err, want)
		}
	}
	if got := s.DataRequests(); got != 1 {
		t.Errorf("%d data requests, want 1", got)
	}
}

func TestCut(t *testing.T) {
	s := New(t)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	id := s.Add(t, "one", data)
	for _, after := range []int64{0, 1, 4096, 999_999} {
		s.Reset()
		s.SetFaults(Fault{Match: IsData, Break: Cut, After: after, Times: 1})
		_, got, err := fetch(t, s, id, "")
		if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, data[:after]) {
			t.Errorf("cut after %d: %d bytes, %v", after, len(got), err)
		}
		s.Settle(t)
		if sent := s.BytesSent(id); sent != after {
			t.Errorf("cut after %d: counted %d", after, sent)
		}
		if _, got, err := fetch(t, s, id, ""); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the next time: %d bytes, %v", len(got), err)
		}
	}
}

func TestStall(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	s.SetFaults(Fault{Break: Stall, After: 4})
	resp, err := client(t).Get(s.URL + "/v2/images/" + id + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	if sent := s.BytesSent(id); sent != 4 {
		t.Errorf("%d bytes sent while it stalls, want 4", sent)
	}
	s.SetFaults()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(first)+string(rest) != "0123456789" {
		t.Errorf("after its end: %q %q, %v", first, rest, err)
	}
}

func TestHangAndStallEndWithTheClient(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	for _, b := range []Break{Hang, Stall} {
		s.SetFaults(Fault{Break: b})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v2/images/"+id+"/file", nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			resp, err := client(t).Do(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			done <- err
		}()
		for s.Running() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("break %d: %v", b, err)
		}
		s.Settle(t)
	}
}

func TestHangEndsWithTheFault(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	s.SetFaults(Fault{Break: Hang})
	done := make(chan string)
	go func() {
		_, b, _ := fetch(t, s, id, "")
		done <- string(b)
	}()
	for s.Running() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.SetFaults()
	if got := <-done; got != "0123456789" {
		t.Errorf("got %q", got)
	}
}

func TestHangingServerCloses(t *testing.T) {
	done := make(chan struct{})
	t.Cleanup(func() { <-done }) // runs after the server's own
	s := New(t)
	s.SetFaults(Fault{Break: Hang})
	go func() {
		defer close(done)
		resp, err := client(t).Post(s.URL+"/v2/images", "application/json", strings.NewReader(`{}`))
		if err == nil {
			resp.Body.Close()
		}
	}()
	for s.Running() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestDrop(t *testing.T) {
	s := New(t)
	s.SetFaults(Fault{Break: Drop})
	resp, err := client(t).Get(s.URL + "/v2/images")
	if err == nil {
		resp.Body.Close()
		t.Fatal(resp.Status)
	}
	if q := s.Requests()[0]; q.Status != 0 {
		t.Errorf("%+v", q)
	}
}

func TestInvert(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", []byte("0123456789"))
	s.SetFaults(Fault{Match: IsData, Invert: true})
	_, got, err := fetch(t, s, id, "bytes=1-3")
	if want := []byte{^byte('1'), ^byte('2'), ^byte('3')}; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// The clock is not trusted: that a slow answer takes its time is measured
// with a bound from below only.
func TestRateAndLatency(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", make([]byte, 1000))
	s.SetFaults(Fault{Rate: 10_000}, Fault{Latency: 50 * time.Millisecond})
	start := time.Now()
	if _, got, err := fetch(t, s, id, ""); err != nil || len(got) != 1000 {
		t.Fatal(len(got), err)
	}
	s.Settle(t)
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("it took %v", d)
	}
}

func TestFaultsChangeWhileRequestsRun(t *testing.T) {
	s := New(t)
	id := s.Add(t, "one", bytes.Repeat([]byte("x"), 300_000))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				fetch(t, s, id, "")
			}
		})
	}
	for i := range 50 {
		s.SetFaults(Fault{Break: Cut, After: int64(i) * 1000}, Fault{Times: 1, Status: 500}, Fault{Ranges: server.RangesRefused})
		s.BytesSent(id)
		s.MaxTimesSent(id)
	}
	s.SetFaults()
	wg.Wait()
	if _, got, err := fetch(t, s, id, ""); err != nil || len(got) != 300_000 {
		t.Errorf("in the end: %d bytes, %v", len(got), err)
	}
}
