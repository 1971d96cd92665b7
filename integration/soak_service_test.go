package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"glancefs/glanceapi/glancetest"
	"glancefs/glanceapi/server"
)

// An issuer answers every login with a new token and the address of an image
// service. It is as much of Keystone as makes a 401 something to recover from.
type issuer struct {
	URL    string
	issued atomic.Int64
}

func newIssuer(tb testing.TB, image string) *issuer {
	i := &issuer{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Subject-Token", tokenName(i.issued.Add(1)))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":{"user":{"id":"u"},"project":{"id":"p"},"catalog":[
			{"type":"image","name":"glance","endpoints":[{"interface":"public","region":"one","url":%q}]}]}}`, image)
	}))
	tb.Cleanup(h.Close)
	i.URL = h.URL
	return i
}

func tokenName(n int64) string { return fmt.Sprint("token-", n) }

// environ is the account of anybody.
func (i *issuer) environ() []string {
	return []string{"OS_AUTH_URL=" + i.URL + "/v3", "OS_USERNAME=u", "OS_PASSWORD=p", "OS_PROJECT_NAME=p"}
}

// A weather makes an image service as bad as it gets, for a while at a time.
// It never keeps the service from answering for longer than sickLimit, or for
// as long as it takes a reader to give up, which is a blackout; and after each
// bad time it lets the service recover.
type weather struct {
	service *glancetest.Server
	issuer  *issuer
	ids     []string
	timeout time.Duration // of the readers
	rng     *rand.Rand

	ranges map[string]server.RangeMode
	health health
	next   time.Time      // when the weather changes
	seen   map[string]int // how often, by name
}

// A health is whether requests may go without a proper answer now, and its
// history.
type health struct {
	sick      bool
	since     time.Time     // it has been so
	rest      time.Duration // how long good times last at least
	blackouts []span
}

// sickLimit is a tenth of what readers bear, and some more, because killing a
// reader stops the weather.
const sickLimit = 1500 * time.Millisecond

// A span is a time in which something was so; while it still is, to is zero.
type span struct{ from, to time.Time }

// meets reports whether any moment of s lies within [from, to].
func (s span) meets(from, to time.Time) bool {
	return !s.from.After(to) && (s.to.IsZero() || !s.to.Before(from))
}

// change lets the weather change when it is time; left is how long the test
// still takes.
func (w *weather) change(left time.Duration) {
	now := time.Now()
	if now.Before(w.next) {
		return
	}
	if w.rng.IntN(5) == 0 {
		w.ranges[w.ids[w.rng.IntN(len(w.ids))]] = server.RangeMode(w.rng.IntN(3))
	}
	w.next = now.Add(between(w.rng, 300*time.Millisecond, sickLimit))
	switch {
	case w.health.sick || now.Sub(w.health.since) < w.health.rest || w.rng.IntN(3) == 0:
		w.health.turn(false)
		w.set(w.fair())
	case left > 4*w.timeout && w.rng.IntN(15) == 0:
		w.next = now.Add(w.timeout * 3 / 2)
		w.health.turn(true)
		w.health.blackouts = append(w.health.blackouts, span{from: now})
		w.set(w.blackout())
	default:
		w.health.turn(true)
		w.set(w.bad())
	}
}

// clear ends all faults but those of the image store.
func (w *weather) clear() {
	w.health.turn(false)
	w.next = time.Now().Add(between(w.rng, 0, time.Second))
	w.set("clear")
}

// turn notes when good and bad times begin. Pauses between attempts have grown
// during a bad time, to some seconds at most; a good one is no shorter.
func (h *health) turn(sick bool) {
	now := time.Now()
	if sick == h.sick {
		return
	}
	if h.sick {
		h.rest = min(2*now.Sub(h.since), 8*time.Second)
	}
	if n := len(h.blackouts); n > 0 && h.blackouts[n-1].to.IsZero() {
		h.blackouts[n-1].to = now
	}
	h.sick, h.since = sick, now
}

// set makes faults the weather, with what the store of each image makes of
// ranges.
func (w *weather) set(name string, faults ...glancetest.Fault) {
	w.seen[name]++
	for _, id := range w.ids {
		faults = append(faults, glancetest.Fault{Match: glancetest.Image(id), Ranges: w.ranges[id]})
	}
	w.service.SetFaults(faults...)
}

// fair is weather in which every request has its answer, or some of it.
func (w *weather) fair() (string, glancetest.Fault) {
	switch w.rng.IntN(12) {
	case 4, 5, 6, 7, 8, 9, 10: // which makes most of the faults
		drops := func(r *http.Request) bool { return glancetest.IsData(r) && rand.IntN(4) > 0 }
		return "drizzle", glancetest.Fault{Match: drops, Break: glancetest.Cut, After: 1 + w.rng.Int64N(1<<(10+w.rng.IntN(9)))}
	case 0:
		return "distant", glancetest.Fault{Latency: between(w.rng, time.Millisecond, 300*time.Millisecond)}
	case 1:
		return "thin line", glancetest.Fault{Match: glancetest.IsData, Rate: 4<<20 + w.rng.Int64N(64<<20)}
	case 2:
		old := tokenName(w.issuer.issued.Load())
		return "token expired", glancetest.Fault{Match: glancetest.Token(old), Status: http.StatusUnauthorized}
	default:
		return "clear", glancetest.Fault{}
	}
}

// bad is weather in which some requests, or all, do not have their answer.
func (w *weather) bad() (string, glancetest.Fault) {
	f := glancetest.Fault{Match: w.scope(), Times: w.rng.IntN(2) * (1 + w.rng.IntN(6))}
	switch w.rng.IntN(7) {
	case 5:
		f.Match = glancetest.IsUpload
		f.Break, f.After = glancetest.CutUpload, w.rng.Int64N(maxSoakUpload)
		return "cut upload", f
	case 6:
		f.Match = func(r *http.Request) bool { return r.Method != http.MethodGet }
		f.Break = glancetest.DropAnswer
		return "lost answer", f
	case 0:
		statuses := []int{401, 408, 429, 500, 502, 503, 504}
		f.Status = statuses[w.rng.IntN(len(statuses))]
		return fmt.Sprint("status ", f.Status), f
	case 1:
		f.Break = glancetest.Drop
		return "drop", f
	case 2:
		f.Break = glancetest.Hang
		return "hang", f
	case 3:
		f.Break, f.After = glancetest.Cut, w.rng.Int64N(1<<w.rng.IntN(25))
		return "cut", f
	default:
		f.Break, f.After = glancetest.Stall, w.rng.Int64N(1<<w.rng.IntN(25))
		return "stall", f
	}
}

// scope is the requests that have bad luck.
func (w *weather) scope() func(*http.Request) bool {
	return [](func(*http.Request) bool){
		nil,
		glancetest.IsData,
		func(r *http.Request) bool { return !glancetest.IsData(r) },
		glancetest.Image(w.ids[w.rng.IntN(len(w.ids))]),
	}[w.rng.IntN(4)]
}

func (w *weather) blackout() (string, glancetest.Fault) {
	return "blackout", []glancetest.Fault{
		{Break: glancetest.Drop}, {Break: glancetest.Hang}, {Status: http.StatusServiceUnavailable},
	}[w.rng.IntN(3)]
}

// unavailable reports whether the service was without an answer for as long as
// readers wait, at some time within [from, to].
func (h *health) unavailable(from, to time.Time) bool {
	return slices.ContainsFunc(h.blackouts, func(b span) bool { return b.meets(from, to) })
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
