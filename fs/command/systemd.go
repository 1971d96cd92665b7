package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"glancefs/fs/keep"
)

// tellEvery is how often systemd is told of what has changed.
const tellEvery = 5 * time.Second

// A supervisor is the systemd that has started this process, if one has, in the
// protocol of sd_notify(3).
type supervisor struct {
	send     func(state string) error // nil without one
	watchdog time.Duration            // it ends a process that it has not heard of for so long; 0 for never
	log      *slog.Logger
}

// newSupervisor finds it: the keeper of the mount passes on what it is told, if
// there is a keeper.
func newSupervisor(t *turn, log *slog.Logger) *supervisor {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("no watchdog", "err", err)
	}
	s := &supervisor{watchdog: watchdog, log: log}
	switch {
	case t != nil:
		s.send = func(state string) error { return t.post.Send(keep.Message{Notify: state}) }
	case os.Getenv("NOTIFY_SOCKET") != "":
		s.send = func(state string) error { return keep.Notify(os.Getenv("NOTIFY_SOCKET"), state) }
	}
	return s
}

// tell sends a message.
func (s *supervisor) tell(state string) {
	if s.send == nil {
		return
	}
	if err := s.send(state); err != nil {
		s.log.Warn("systemd not told", "err", err)
	}
}

// ready, with a line for people, is told at the start and after each reload.
func (s *supervisor) ready(status string) { s.tell("READY=1\nSTATUS=" + status) }

func (s *supervisor) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn("no clock", "err", err)
	}
	s.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

func (s *supervisor) stopping() { s.tell(daemon.SdNotifyStopping) }

// watch tells what status says whenever that has changed, and, to the watchdog,
// that the mount answers as long as it does, until ctx ends.
func (s *supervisor) watch(ctx context.Context, status func() string, answers func(context.Context) error) {
	if s.send == nil {
		return
	}
	every := tellEvery
	if s.watchdog > 0 {
		every = min(every, s.watchdog/4)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	told, w := status(), watch{heard: time.Now()}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if now := status(); now != told {
			told = now
			s.tell("STATUS=" + now)
		}
		if s.watchdog == 0 || time.Since(w.heard) < s.watchdog/4 {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, s.watchdog/2)
		err := answers(asking)
		cancel()
		if ctx.Err() == nil {
			s.hear(&w, err)
		}
	}
}

// A watch is what the watchdog was told.
type watch struct {
	heard  time.Time // when it was last told that the mount answers
	failed time.Time // when the mount last did not
	blind  bool      // the mount could not be asked the last time
}

// hear tells the watchdog what came of asking the mount, and the log when that has
// changed. A mount that could not be asked counts as one that answers: it may well,
// and who uses it would have nothing of a new worker on a host that is short of all.
func (s *supervisor) hear(w *watch, err error) {
	if blind := errors.Is(err, errUnasked); blind != w.blind {
		w.blind = blind
		if blind {
			s.log.Warn("it is not known whether the mount answers, which the watchdog does not count against it", "err", err)
		} else {
			s.log.Info("the mount can be asked again")
		}
	}
	switch {
	case err == nil || w.blind:
		w.heard = time.Now()
		s.tell(daemon.SdNotifyWatchdog)
	default:
		// One line for as long as it goes on, or comes and goes.
		if time.Since(w.failed) > s.watchdog {
			s.log.Error("the mount does not answer, so the watchdog hears nothing", "err", err)
		}
		w.failed = time.Now()
	}
}
