package fs

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// TestPanicEndsTheProcess has requests panic: each is answered, and the process ends
// once, where another follows, and not so soon that too many could.
func TestPanicEndsTheProcess(t *testing.T) {
	for name, c := range map[string]struct {
		lasting  bool
		age, end time.Duration // since it began to serve; the end is 0 for never
	}{
		"nobody follows": {false, time.Hour, 0},
		"old":            {true, time.Hour, time.Hour + answerTime},
		"young":          {true, time.Second, panicSpan},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, ends := time.Now(), []time.Duration(nil)
				p := &panics{
					log: slog.New(slog.DiscardHandler), began: began, lasting: func() bool { return c.lasting },
					abort: func() { ends = append(ends, time.Since(began)) },
				}
				time.Sleep(c.age)
				for range 3 {
					if st := p.answer("something"); st != fuse.EIO {
						t.Errorf("answered by %v", st)
					}
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if c.end == 0 && len(ends) > 0 || c.end > 0 && (len(ends) != 1 || ends[0] != c.end) {
					t.Errorf("ended after %v, want %v", ends, c.end)
				}
			})
		})
	}
}
