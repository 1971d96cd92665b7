package keep

import (
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookEvery is how often workers are looked at.
const lookEvery = 250 * time.Millisecond

// busyLimit is how long a worker may be silent for no worse reason than that the
// host is busy.
const busyLimit = 5 * time.Second

// tellLimit is how long systemd may take to take a message.
const tellLimit = 100 * time.Millisecond

// A systemd is the one that has started this process, if one has, in the
// protocol of sd_notify(3). It listens to its main process only, which the
// keeper is.
type systemd struct {
	socket   string
	watchdog time.Duration // it ends a process that it has not heard of for so long; 0 for never
	log      *slog.Logger
}

func newSystemd(log *slog.Logger) *systemd {
	s := &systemd{socket: os.Getenv("NOTIFY_SOCKET"), log: log}
	pid := os.Getenv("WATCHDOG_PID")
	if usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s
}

// environ is the environment of a worker, which tells the keeper instead.
func (s *systemd) environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_PID=")
	})
}

// tell passes on what a worker says.
func (s *systemd) tell(state string) {
	if s.socket == "" {
		return
	}
	if err := Notify(s.socket, state); err != nil {
		s.log.Warn("systemd not told", "err", err)
	}
}

// Notify sends a message to a socket of systemd's. A systemd that takes none, because
// it is stuck itself, does not hold the mount.
func Notify(socket, state string) error {
	conn, err := net.DialTimeout("unixgram", socket, tellLimit)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(tellLimit)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, state)
	return err
}

func (s *systemd) every() time.Duration {
	if s.watchdog > 0 {
		return min(lookEvery, s.watchdog/8)
	}
	return lookEvery
}

// overdue reports whether a worker that was heard of so long ago is to be ended,
// before systemd ends all of us.
func (s *systemd) overdue(silent time.Duration) bool {
	return s.watchdog > 0 && silent > max(s.watchdog*3/4, busyLimit)
}
