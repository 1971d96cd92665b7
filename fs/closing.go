package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"glancefs/fs/diskformat"
)

// A closing is what is known when a process closes a file it may have written.
type closing struct {
	opener, closer int  // processes; 0 where that cannot be told
	wrote          bool // something, through what is closed
	exiting        bool // the closer does not close it itself, it is ending
	status         int  // with this, as wait(2) has it; 0 is well
	caught         bool // whoever wrote had a use for SIGINT
	stopped        bool // the closer was interrupted, and is to end when it has closed
}

// finished reports whether the file is as it was meant to be. The kernel says
// only that a process closes it, and most programs do that several times: the
// shell between opening and running a command, each command of (a; b) > file, a
// parent whose child has a copy. So it counts when the process that opened the
// file closes it, wrote something (to set a length is not to write: programs
// do that first), and does not end because of a signal or a failure. Where a
// process cannot be told, as from another process namespace, it is taken for
// the opener.
func (c closing) finished() bool {
	return c.wrote && c.mine() && !c.broken()
}

func (c closing) mine() bool { return c.opener == 0 || c.closer == 0 || c.opener == c.closer }

// broken reports whether the closer ends before its work is done.
func (c closing) broken() bool { return c.stopped || c.exiting && c.status != 0 }

// ended says how the closer ended.
func (c closing) ended() string {
	if c.stopped {
		return "was interrupted"
	}
	if signal := syscall.Signal(c.status & 0x7f); signal != 0 {
		return "was ended by signal " + strconv.Itoa(int(signal)) + " (" + signal.String() + ")"
	}
	return fmt.Sprintf("ended with status %d", c.status>>8)
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

// closes fills in who closes, while the request is being answered.
func (c *closing) closes(ctx context.Context) {
	thread, process := caller(ctx)
	c.closer = process
	if process == 0 {
		return
	}
	if c.mine() {
		stat := readStat(int(thread))
		c.exiting, c.status = parseStat(stat)
		c.stopped = c.caught && strings.Contains(stat, " (dd) ") && !catches(thread, syscall.SIGINT)
	}
}

// catches reports whether a process has a handler for a signal. That of dd is good for
// one SIGINT, after which dd closes its file and ends by another one; other programs
// take theirs away before they close what is whole, so only of dd this tells anything.
func catches(thread uint32, s syscall.Signal) bool {
	mask, _ := strconv.ParseUint(statusLine(thread, "SigCgt"), 16, 64)
	return mask&(1<<(s-1)) != 0
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
	thread, _ := caller(ctx)
	tick := time.NewTicker(leavingEvery)
	defer tick.Stop()
	for !leaving(thread) {
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
	}
	return context.Canceled
}

// idleSignals are pending signals nobody leaves for, as a mask.
const idleSignals = 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGWINCH-1)

// leaving reports whether a thread has a signal to see to, or cannot be seen.
func leaving(thread uint32) bool {
	mask := func(field string) uint64 {
		n, _ := strconv.ParseUint(statusLine(thread, field), 16, 64)
		return n
	}
	if statusLine(thread, "Tgid") == "" {
		return true
	}
	return (mask("SigPnd")|mask("ShdPnd"))&^mask("SigBlk")&^idleSignals != 0
}

// closed makes an image of a draft that has just been finished.
func (in *incoming) closed(ctx context.Context, o *opening) error {
	o.mu.Lock()
	c := closing{opener: o.opener, wrote: o.wrote, caught: o.caught}
	gone, filling := o.removed || o.image != "" && o.up == nil, o.about.Image != ""
	why, overtaken := o.missing.reason(), o.others[o.opener]
	o.mu.Unlock()
	if !c.wrote || gone {
		return nil
	}
	c.closes(ctx)
	if c.mine() && c.broken() {
		return o.tell(func(a *about) { a.Error = "whoever wrote it " + c.ended() })
	}
	if !c.finished() || o.reads && !c.exiting && o.isBlank() {
		return nil
	}
	name := o.name()
	if why == nil && overtaken && (filling || !isHidden(name)) {
		why = errOvertaken
	}
	if why != nil {
		in.t.log.Warn("no image is made; the draft is kept", "name", name, "err", why)
		return errors.Join(why, o.tell(func(a *about) { a.Error = why.Error() }))
	}
	o.mu.Lock()
	o.wrote = false
	o.mu.Unlock()
	switch {
	case filling:
		return finish(ctx, func() (*upload, error) { return in.startFill(o.draft) })
	case isHidden(name):
		return nil
	case isSidecar(name):
		return in.inspect(o.draft)
	}
	return finish(ctx, func() (*upload, error) { return in.start(o.draft, name, c.closer) })
}

// isBlank reports whether the draft is an image without data, which who made it
// ready has yet to fill.
func (o *opening) isBlank() bool {
	info, err := o.file.Stat()
	if err != nil {
		return false
	}
	f, err := diskformat.Sniff(o.file, info.Size())
	if err != nil {
		return false // which the upload will tell
	}
	is, err := diskformat.IsBlank(o.file, info.Size(), f)
	return is && err == nil
}
