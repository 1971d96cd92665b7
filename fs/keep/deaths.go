package keep

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ended sees to a worker that has ended.
func (k *keeper) ended(w *worker, s *os.ProcessState) (bool, error) {
	why := cause(w, s)
	if w.held {
		k.say(Word{})
	}
	switch {
	case w == k.heir && k.serving != nil:
		k.heir = nil
		if !k.stopping {
			k.failed(why)
		}
		return false, nil
	case w == k.heir && !k.ready:
		if k.device != nil {
			k.unmount()
		}
		return true, end(w, s)
	case s.Success() && !w.given: // somebody has unmounted
		return true, nil
	case k.stopping && w == k.serving && w.given && k.heir != nil:
		// What it was not to finish the next one does, which has been told to end, too.
	case k.stopping:
		k.unmount()
		if w == k.heir {
			return true, nil // nobody was served
		}
		return true, end(w, s)
	case !k.lasting:
		return true, errors.New(why)
	}
	planned := w == k.serving && w.given
	if w == k.serving {
		k.serving, k.alone = nil, time.Now()
	} else {
		k.heir = nil
		k.failed(why)
	}
	switch {
	case planned && s.Success():
		why = "upgrade"
	case planned: // it says nothing of whether the next one lives
		k.Log.Warn("a worker that was to give way has died; the next goes on with the mount", "pid", w.pid(), "cause", why)
	case w.since.IsZero():
		k.Log.Error("a worker has ended before it could serve the mount; another is tried", "pid", w.pid(), "cause", why)
		k.inVain()
	default:
		k.Log.Error("a worker has died; the next goes on with the mount", "pid", w.pid(), "cause", why)
		k.died(time.Since(w.since))
	}
	k.history.Restarts++
	k.history.Last = why
	if k.heir != nil {
		return k.succeed()
	}
	return k.again()
}

// died notes the death of a worker that has served so long.
func (k *keeper) died(after time.Duration) {
	k.deaths = append(k.deaths, time.Now())
	k.short++
	if after >= shortLife {
		k.short = 0
	}
}

// inVain notes that a worker was not to be had.
func (k *keeper) inVain() {
	k.vain++
	k.short++
}

// again starts the next worker, in a while if several have died at once, or were not
// to be had.
func (k *keeper) again() (bool, error) {
	for len(k.deaths) > 0 && time.Since(k.deaths[0]) > deathSpan {
		k.deaths = k.deaths[1:]
	}
	switch n := len(k.deaths); {
	case n >= maxDeaths:
		k.Log.Error("no worker lives; the mount ends", "deaths", n, "within", deathSpan, "cause", k.history.Last)
		k.unmount()
		return true, fmt.Errorf("%d workers have died within %v, the last one %s", n, deathSpan, k.history.Last)
	case k.vain > 1 && time.Since(k.alone) > vainSpan:
		k.Log.Error("no worker is to be had; the mount ends", "tried", k.vain, "for", vainSpan, "cause", k.history.Last)
		k.unmount()
		return true, fmt.Errorf("no worker was to be had within %v, the last one %s", vainSpan, k.history.Last)
	case k.short < 2:
		return k.next()
	}
	time.AfterFunc(min(firstPause<<min(k.short-2, 16), maxPause), func() { k.events <- k.next })
	return false, nil
}

// next starts the next worker.
func (k *keeper) next() (bool, error) {
	if k.heir != nil || k.serving != nil {
		return false, nil
	}
	if err := k.hurried(func() error { return k.start(true) }); err != nil {
		k.Log.Error("no worker", "err", err)
		k.history.Last = err.Error()
		k.inVain()
		return k.again()
	}
	return false, nil
}
