package fs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// A process is who does something, and who started it.
type process struct {
	thread     uint32
	id, parent int
	alone      bool // it has one thread only, so it does one thing after the other
}

// who returns the process behind a request, while that is being answered.
func who(ctx context.Context) process {
	thread, id := caller(ctx)
	if id == 0 {
		return process{}
	}
	parent, _ := strconv.Atoi(statusLine(thread, "PPid"))
	return process{thread, id, parent, statusLine(thread, "Threads") == "1"}
}

// is reports whether both are the same process, as far as can be told.
func (p process) is(q process) bool { return p.id != 0 && p.id == q.id }

// kin reports whether one has started the other, or somebody both, as a script
// does with the program that reads a file and the one that writes it.
func (p process) kin(q process) bool {
	return p.is(q) || p.id != 0 && p.id == q.parent || q.id != 0 && q.id == p.parent || p.parent > 1 && p.parent == q.parent
}

// caller returns the process behind a request, while that is being answered. The
// kernel names a thread.
func caller(ctx context.Context) (thread uint32, process int) {
	c, ok := fuse.FromContext(ctx)
	if !ok || c.Pid == 0 {
		return 0, 0
	}
	process, _ = strconv.Atoi(statusLine(c.Pid, "Tgid"))
	return c.Pid, process
}

// statusLine returns one field of /proc/PID/status (proc_pid_status(5)), or "".
func statusLine(thread uint32, field string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		if name, value, _ := strings.Cut(string(line), ":"); name == field {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A signalSet has bit n-1 for signal n, as in /proc/PID/status.
type signalSet uint64

func setOf(all ...syscall.Signal) (set signalSet) {
	for _, s := range all {
		set |= 1 << (s - 1)
	}
	return set
}

// signals returns one of the sets of signals of a thread, empty if it cannot be seen.
func signals(thread uint32, field string) signalSet {
	n, _ := strconv.ParseUint(statusLine(thread, field), 16, 64)
	return signalSet(n)
}

// catches reports whether a process has a handler for a signal.
func catches(thread uint32, s syscall.Signal) bool { return signals(thread, "SigCgt")&setOf(s) != 0 }

// fileLimit returns how long a process may make a file, in bytes.
func fileLimit(process int) uint64 {
	var l unix.Rlimit
	if err := unix.Prlimit(process, unix.RLIMIT_FSIZE, nil, &l); err != nil {
		return unix.RLIM_INFINITY
	}
	return l.Cur
}

// statPatience is how long /proc may take to tell of a process.
const statPatience = 200 * time.Millisecond

// readStat returns what /proc/PID/stat says, or "". A process that is just at
// execve(2) has that locked, and closes what it does not hand on meanwhile: who
// waited for the lock to answer its close would wait for ever.
func readStat(process int) string {
	text := make(chan string, 1)
	go func() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
		text <- string(b)
	}()
	select {
	case s := <-text:
		return s
	case <-time.After(statPatience):
		return ""
	}
}

// statField returns a field of /proc/PID/stat, counted from 1, behind the second,
// which is in brackets and may hold anything; "" if there is none.
func statField(s string, n int) string {
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if n-3 >= len(fields) {
		return ""
	}
	return fields[n-3]
}

// exitingFlag is PF_EXITING of the kernel's task flags (linux/sched.h).
const exitingFlag = 0x4

// parseStat reads the flags and the exit code of /proc/PID/stat
// (proc_pid_stat(5)).
func parseStat(s string) (exiting bool, status int) {
	flags, _ := strconv.ParseUint(statField(s, 9), 10, 64)
	status, _ = strconv.Atoi(statField(s, 52))
	return flags&exitingFlag != 0, status
}

// started returns when a process started, in the kernel's ticks, which together
// with its number is it and no other; "" when there is no such process.
func started(process int) string {
	return statField(readStat(process), 22)
}

// leavingEvery is how often a process that was interrupted is looked at.
const leavingEvery = 100 * time.Millisecond

// await returns when done is closed, or when the process behind the request no
// longer waits for it. The kernel tells of one signal only, whichever it is; a
// signal that a process ignores unless it has a use for it, such as those by
// which Go's runtime talks to itself, is no reason to leave.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	tick := time.NewTicker(leavingEvery)
	defer tick.Stop()
	for !hasLeft(ctx) {
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
	}
	return context.Canceled
}

// hasLeft reports whether the process behind a request that was interrupted no longer
// waits for it. What interrupts may be no signal at all, but io_uring, which qemu has a
// main loop of: it does not try again.
func hasLeft(ctx context.Context) bool {
	thread, _ := caller(ctx)
	return leaving(thread)
}

// leaving reports whether a thread has a signal to see to, or cannot be seen. Nobody
// leaves for those that a process ignores unless it has a use for them.
func leaving(thread uint32) bool {
	if statusLine(thread, "Tgid") == "" {
		return true
	}
	pending := signals(thread, "SigPnd") | signals(thread, "ShdPnd")
	idle := signals(thread, "SigBlk") | setOf(syscall.SIGURG, syscall.SIGCHLD, syscall.SIGWINCH)
	return pending&^idle != 0
}
