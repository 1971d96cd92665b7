package integration

import (
	"fmt"
	"time"
)

// A wait is a thing that took long.
type wait struct {
	what  string
	begun time.Time
	took  time.Duration
}

// tolerable is how long the change of who serves a mount may keep anybody waiting.
const tolerable = time.Second

// timed notes how long something takes.
func (l *load) timed(what string, do func() error) error {
	begun := time.Now()
	err := do()
	l.took(wait{what, begun, time.Since(begun)})
	return err
}

func (l *load) took(w wait) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	l.stalls[w.what] = max(l.stalls[w.what], w.took)
	if w.took > tolerable && w.what != listing {
		l.waits = append(l.waits, w)
	}
}

// change notes that who serves the mount changes now.
func (l *load) change() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, time.Now())
}

// tooLong tells which waits were longer than tolerable, and how long after the
// beginning of each there were changes.
func (l *load) tooLong() (all []string) {
	for _, w := range l.waits {
		var changes []time.Duration
		for _, c := range l.changes {
			if at := c.Sub(w.begun); -tolerable < at && at < w.took {
				changes = append(changes, at.Round(time.Millisecond))
			}
		}
		all = append(all, fmt.Sprintf("%s took %v; changes at %v", w.what, w.took, changes))
	}
	return all
}
