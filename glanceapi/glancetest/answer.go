package glancetest

import (
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"
)

// An answer is a ResponseWriter that counts, and breaks as its fault says.
// Without a fault of the body it leaves copying to the kernel (sendfile).
type answer struct {
	http.ResponseWriter
	s        *Server
	r        *http.Request
	request  *Request // guarded by s.mu
	fault    Fault
	released <-chan struct{} // closed when the fault is over
	sent     int64           // bytes of the body
	lost     bool            // the client is taken to have gone
	began    time.Time       // when the first of them was sent, with a Rate
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) WriteHeader(status int) {
	if a.lost || a.fault.Break == DropAnswer {
		panic(http.ErrAbortHandler)
	}
	h := a.Header()
	a.s.mu.Lock()
	q := a.request
	q.Status = status
	q.RequestID = h.Get("X-Openstack-Request-Id")
	if (status == http.StatusOK || status == http.StatusPartialContent) && isData(q.Method, q.Path) {
		q.Image = imageID(q.Path)
		fmt.Sscanf(h.Get("Content-Range"), "bytes %d-", &q.Offset)
	}
	a.s.mu.Unlock()
	a.ResponseWriter.WriteHeader(status)
}

// maxChunk is how much is counted at a time.
const maxChunk = 1 << 20

// faulty reports whether something is to be done to the body.
func (a *answer) faulty() bool {
	f := &a.fault
	return f.Break == Cut || f.Break == Stall || f.Invert
}

// chunk is how much is sent at a time.
func (a *answer) chunk() int64 {
	if rate := a.fault.Rate; rate > 0 {
		return min(max(1, rate/200), maxChunk)
	}
	return maxChunk
}

// ReadFrom lets io.Copy pass a file on without copying it.
func (a *answer) ReadFrom(src io.Reader) (int64, error) {
	if a.faulty() {
		return io.Copy(struct{ io.Writer }{a}, src)
	}
	all, ok := src.(*io.LimitedReader)
	if !ok {
		all = &io.LimitedReader{R: src, N: 1<<63 - 1}
	}
	var total int64
	for all.N > 0 {
		part := &io.LimitedReader{R: all.R, N: min(all.N, a.chunk())}
		want := part.N
		a.tell(want)
		n, err := io.Copy(a.ResponseWriter, part)
		a.tell(n - want)
		a.pace(n)
		all.N -= n
		total += n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}

func (a *answer) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n, err := a.write(a.next(p))
		total += n
		if err != nil {
			return total, err
		}
		p = p[n:]
	}
	return total, nil
}

// next returns as much of p as may be sent in one go, changed as the fault
// wants it. It does not return if the answer ends here.
func (a *answer) next(p []byte) []byte {
	if f := a.fault; f.Break == Cut || f.Break == Stall {
		if a.sent >= f.After {
			a.breakOff()
		} else {
			p = p[:min(int64(len(p)), f.After-a.sent)]
		}
	}
	if a.fault.Rate > 0 {
		p = p[:min(int64(len(p)), a.chunk())]
	}
	if a.fault.Invert {
		inverted := make([]byte, len(p))
		for i, b := range p {
			inverted[i] = ^b
		}
		p = inverted
	}
	return p
}

func (a *answer) write(p []byte) (int, error) {
	a.tell(int64(len(p)))
	n, err := a.ResponseWriter.Write(p)
	a.tell(int64(n - len(p)))
	a.pace(int64(n))
	return n, err
}

// pace counts n bytes of the body, and returns when the fault's Rate allows the
// next. What sending them took is part of that time.
func (a *answer) pace(n int64) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	a.sent += n
	if rate := a.fault.Rate; rate > 0 {
		a.flush()
		a.sleep(time.Until(a.began.Add(time.Duration(float64(a.sent) / float64(rate) * float64(time.Second)))))
	}
}

// tell adds n bytes to those sent.
func (a *answer) tell(n int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.request.Sent += n
}

func (a *answer) flush() { http.NewResponseController(a.ResponseWriter).Flush() }

// breakOff sends what there is and ends the connection, or stalls and then
// lets the rest pass.
func (a *answer) breakOff() {
	a.flush()
	a.s.hurt()
	if a.fault.Break == Cut {
		panic(http.ErrAbortHandler)
	}
	a.hang()
}

// hang waits until the fault is over. It does not return if the client leaves
// before that.
func (a *answer) hang() {
	select {
	case <-a.released:
		a.fault.Break = NoBreak
	case <-a.r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// sleep passes time, but none of it once the fault is over. Short times are left
// to the kernel, because timers may be late by a millisecond.
func (a *answer) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	if d < 5*time.Millisecond {
		t := syscall.NsecToTimespec(d.Nanoseconds())
		syscall.Nanosleep(&t, nil) // shorter when a signal comes
		return
	}
	select {
	case <-time.After(d):
	case <-a.released:
		a.fault.Rate = 0
	case <-a.r.Context().Done():
	}
}
