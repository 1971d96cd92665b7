package glancetest

import (
	"net/http"
	"time"

	"glancefs/glanceapi/server"
)

// A Fault is what goes wrong with some requests. Its zero value is no fault.
type Fault struct {
	Match func(*http.Request) bool // which requests suffer it, nil for all; see IsData, Image and Token
	Times int                      // how many requests suffer it, 0 for all that match

	Latency time.Duration    // passes before the request is looked at: a distant or busy service
	Status  int              // is the answer, and nothing is done: 401 for a token that ran out, 503 from a proxy
	Message string           // is what the answer of that Status says, "" for the status in words
	Ranges  server.RangeMode // becomes of a Range header: refused by Ceph, Swift and S3 stores, ignored by old servers
	Break   Break            // is how the answer ends before its time
	After   int64            // is the number of bytes that a Cut or Stall lets pass of the answer's body, a CutUpload or StallUpload of the request's
	Invert  bool             // turns every bit of the answer's body over: a bad disk or proxy; the length is right
	Garble  bool             // turns every bit of the request's body over, so that an image has other bytes than were sent
	Rate    int64            // is the most bytes a second that one answer's body is sent with, 0 for no limit
}

// A Break is how a request or its answer ends before its time. An answer whose
// body is not longer than the Fault's After is not touched by Cut and Stall.
type Break int

const (
	NoBreak     Break = iota
	Drop              // the connection is closed without an answer: a service or balancer that goes down
	Hang              // there is no answer and the connection stays open: a stuck service, a firewall that eats packets
	Cut               // the connection is closed within the body: a restarted service, a balancer's time limit
	Stall             // the body stops and the connection stays open: a stored file that is too short, a stuck store
	DropAnswer        // the connection is closed when the request has been carried out, without an answer
	CutUpload         // the connection is closed while the request's body is read; the server has lost its client
	StallUpload       // the request's body is not read further, until the faults are replaced: the server cannot see its client leave
)

// SetFaults replaces all faults by those given, of which every one that
// matches a request is suffered by it; where they contradict each other the
// first wins. Answers that hang or stall go on as if nothing had been.
func (s *Server) SetFaults(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
	close(s.released)
	s.released = make(chan struct{})
}

// suffer returns what goes wrong with r, and the channel that is closed when
// it is over.
func (s *Server) suffer(r *http.Request) (Fault, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum Fault
	for _, f := range s.faults {
		if f.Times < 0 || f.Match != nil && !f.Match(r) {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				f.Times = -1
			}
		}
		sum.join(f)
	}
	return sum, s.released
}

func (f *Fault) join(g *Fault) {
	f.Latency += g.Latency
	f.Invert = f.Invert || g.Invert
	f.Garble = f.Garble || g.Garble
	if f.Status == 0 {
		f.Status, f.Message = g.Status, g.Message
	}
	if f.Ranges == server.RangesServed {
		f.Ranges = g.Ranges
	}
	if f.Break == NoBreak {
		f.Break, f.After = g.Break, g.After
	}
	if f.Rate == 0 {
		f.Rate = g.Rate
	}
}

// Image matches the requests for the data of one image.
func Image(id string) func(*http.Request) bool {
	return func(r *http.Request) bool { return IsData(r) && imageID(r.URL.Path) == id }
}

// Token matches the requests that carry a token, as after its revocation.
func Token(token string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Header.Get("X-Auth-Token") == token }
}
