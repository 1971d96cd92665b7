package fs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"glancefs/fs/diskformat"
	"glancefs/fs/proc"
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

// closes fills in who closes, while the request is being answered.
//
// dd has a handler that is good for one SIGINT, after which it closes its file and ends
// by another one. Other programs take theirs away before they close what is whole, so
// it tells something of dd only.
func (c *closing) closes(ctx context.Context) {
	thread, process := caller(ctx)
	c.closer = process
	if process == 0 {
		return
	}
	if c.mine() {
		stat := proc.StatOf(thread)
		c.exiting, c.status = stat.Exiting(), stat.ExitCode()
		c.stopped = c.caught && stat.IsOf("dd") && !proc.Catches(thread, syscall.SIGINT)
	}
}

// closed makes an image of a draft that has just been finished.
func (in *incoming) closed(ctx context.Context, o *opening) error {
	o.mu.Lock()
	c := closing{opener: o.opener, wrote: o.wrote, caught: o.caught}
	gone, filling := o.removed || o.image != "" && o.up == nil, o.about.Image != ""
	why, lost := o.missing.reason(), o.image != "" && o.others[o.opener] == cleared
	o.mu.Unlock()
	if !c.wrote || gone && !lost {
		return nil
	}
	c.closes(ctx)
	if gone {
		if c.finished() {
			return errOvertaken // the image has been made of what another has written
		}
		return nil
	}
	if c.mine() && c.broken() {
		return o.tell(func(a *about) { a.Error = "whoever wrote it " + c.ended() })
	}
	if !c.finished() || o.reads && !c.exiting && o.isBlank() {
		return nil
	}
	name := o.name()
	switch {
	case why != nil:
	case o.fills && !filling && isHidden(name):
		why = errRescued
	case o.isCutOff(c.closer):
		why = errLimited
	}
	if why != nil {
		return in.unmade(o, name, why)
	}
	o.setWrote(false)
	err := in.use(ctx, o, name, filling, c.closer)
	if errors.Is(err, errOvertaken) {
		o.setWrote(true) // by whoever closes a copy of it, nothing is to be made either
		return in.unmade(o, name, err)
	}
	return err
}

// use makes of a finished draft what it is for: the data of the queued image that it is
// filling, or what its name says.
func (in *incoming) use(ctx context.Context, o *opening, name string, filling bool, closer int) error {
	switch {
	case filling:
		return finish(ctx, func() (*upload, error) { return in.startFill(o.draft, &upload{unless: o.overtaken}) })
	case isHidden(name):
		return nil
	case isSidecar(name):
		o.mu.Lock()
		err := o.overtaken()
		o.mu.Unlock()
		if err != nil {
			return err
		}
		return in.inspect(o.draft)
	}
	return finish(ctx, func() (*upload, error) {
		return in.start(o.draft, &upload{name: name, by: closer, unless: o.overtaken})
	})
}

// unmade tells why nothing is made of a draft that was finished.
func (in *incoming) unmade(o *opening, name string, why error) error {
	in.t.log.Warn("no image is made; the draft is kept", "name", name, "err", why)
	return errors.Join(why, o.tell(func(a *about) { a.Error = why.Error() }))
}

func (o *opening) setWrote(wrote bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote = wrote
}

// overtaken returns errOvertaken if the bytes are not those of who closes, because another
// process has changed them since. That may happen until an upload has begun, which nobody
// can change bytes under. Called with mu held.
func (o *opening) overtaken() error {
	if o.others[o.opener] != nothing {
		return errOvertaken
	}
	return nil
}

// isCutOff reports whether the draft is as long as a process may make a file. Of a write
// behind that the kernel tells the process, and not us.
func (o *opening) isCutOff(process int) bool {
	info, err := o.file.Stat()
	return err == nil && process != 0 && uint64(info.Size()) == proc.FileLimit(process)
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
