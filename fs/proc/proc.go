// Package proc is what the kernel tells of other processes, in /proc (proc(5)). A
// process that is no more, or that may not be looked at, has nothing to tell.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Status returns one field of the status of a process or thread
// (proc_pid_status(5)), or "".
func Status(pid int, field string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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

// Of returns which process a thread is of, or 0.
func Of(thread int) int {
	process, _ := strconv.Atoi(Status(thread, "Tgid"))
	return process
}

// Signals has bit n-1 for signal n, as in the status of a process.
type Signals uint64

// Set returns the set of some signals.
func Set(all ...syscall.Signal) (set Signals) {
	for _, s := range all {
		set |= 1 << (s - 1)
	}
	return set
}

// SignalsOf returns one of the sets of signals of a process or thread: SigPnd and
// ShdPnd, those to come; SigBlk, SigIgn and SigCgt.
func SignalsOf(pid int, field string) Signals {
	n, _ := strconv.ParseUint(Status(pid, field), 16, 64)
	return Signals(n)
}

// Catches reports whether a process has a handler for a signal.
func Catches(pid int, s syscall.Signal) bool { return SignalsOf(pid, "SigCgt")&Set(s) != 0 }

// FileLimit returns how long a process may make a file, in bytes.
func FileLimit(process int) uint64 {
	var l unix.Rlimit
	if err := unix.Prlimit(process, unix.RLIMIT_FSIZE, nil, &l); err != nil {
		return unix.RLIM_INFINITY
	}
	return l.Cur
}

// A Stat is the text of /proc/PID/stat (proc_pid_stat(5)); "" if there is none.
type Stat string

// statPatience is how long /proc may take to tell of a process.
const statPatience = 200 * time.Millisecond

// StatOf reads the stat of a process or thread. A process that is just at execve(2)
// has that locked, and closes what it does not hand on meanwhile: who waited for the
// lock to answer its close would wait for ever.
func StatOf(pid int) Stat {
	text := make(chan Stat, 1)
	go func() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		text <- Stat(b)
	}()
	select {
	case s := <-text:
		return s
	case <-time.After(statPatience):
		return ""
	}
}

// field returns a field, counted from 1, behind the second, which is in brackets and
// may hold anything; "" if there is none.
func (s Stat) field(n int) string {
	fields := strings.Fields(string(s[strings.LastIndexByte(string(s), ')')+1:]))
	if n-3 >= len(fields) {
		return ""
	}
	return fields[n-3]
}

// IsOf reports whether a program has that name, of which the kernel keeps 15 bytes.
func (s Stat) IsOf(program string) bool { return strings.Contains(string(s), " ("+program+") ") }

// State is Z for a zombie, D for one that waits in the kernel and cannot be killed.
func (s Stat) State() string { return s.field(3) }

// exitingFlag is PF_EXITING of the kernel's task flags (linux/sched.h).
const exitingFlag = 0x4

// Exiting reports whether it ends.
func (s Stat) Exiting() bool {
	flags, _ := strconv.ParseUint(s.field(9), 10, 64)
	return flags&exitingFlag != 0
}

// Started is when it started, in the kernel's ticks, which together with its number
// is it and no other.
func (s Stat) Started() string { return s.field(22) }

// ExitCode is as wait(2) has it, once it ends.
func (s Stat) ExitCode() int {
	code, _ := strconv.Atoi(s.field(52))
	return code
}
