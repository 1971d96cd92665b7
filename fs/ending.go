package fs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"glancefs/fs/mounts"
)

const (
	// grace is how long an unmount waits for files in use.
	grace = 2 * time.Second
	// closedEvery is how often the files are looked at that a mount is kept for
	// which was taken away.
	closedEvery = time.Second
)

// find notes by which device the mount can be told from all others.
func (m *Mount) find() {
	device, err := mounts.At(m.dir)
	if err != nil {
		m.log.Warn("the mount is not found in the mount table", "err", err)
	}
	m.device = device
}

// Wait returns when the mount has ended: the kernel has dropped it, or nobody here can
// reach it any more and no file of it is open.
func (m *Mount) Wait() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dropped := make(chan struct{})
	go func() {
		defer close(dropped)
		m.server.Wait()
	}()
	select {
	case <-dropped:
	case <-m.abandoned(ctx):
	}
}

// abandoned returns what is closed when the mount was taken from this mount namespace
// and no file of it is open. The kernel does not tell of that: it keeps a mount for as
// long as another namespace has a copy, wanted or not, and the cache would not be free
// for the next mount.
func (m *Mount) abandoned(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	if m.device == "" {
		return done
	}
	go func() {
		for told := false; ; told = true {
			if err := mounts.AwaitDetached(ctx, m.device); err != nil {
				if ctx.Err() == nil {
					m.log.Error("that the mount is taken away will not be noticed", "err", err)
				}
				return
			}
			open := m.handles.count()
			if open == 0 {
				close(done)
				return
			}
			if !told {
				m.log.Warn("the mount was taken away, but files of it are open; glancefs ends with the last of them, or on SIGTERM",
					"mountpoint", m.dir, "open", open, "copies", mounts.Copies(m.device))
			}
			time.Sleep(closedEvery)
		}
	}()
	return done
}

// Close ends what the mount was doing besides, when nobody is served any more:
// uploads within a grace.
func (m *Mount) Close() {
	m.tree.incoming.stop()
	m.cancel()
	m.work.Wait()
}

func (m *Mount) unmount() error {
	if m.kept == nil {
		return m.server.Unmount()
	}
	err := unix.Unmount(m.dir, 0)
	if errors.Is(err, unix.EINVAL) { // somebody was faster
		return nil
	}
	return err
}

// Unmount ends the mount. While files are in use it waits a grace, then
// detaches: the path is free at once, and open files fail once the process has
// ended. It does not wait for those who have a copy of the mount in another
// mount namespace.
func (m *Mount) Unmount() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m.unmount() != nil {
			time.Sleep(100 * time.Millisecond)
		}
		m.server.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(grace):
	}
	if device, err := mounts.At(m.dir); err == nil && device == "" {
		m.log.Warn("another mount namespace has a copy of the mount, which ends with this process", "mountpoint", m.dir)
		return nil
	}
	m.log.Warn("files are in use; detaching the mount", "mountpoint", m.dir)
	return mounts.Detach(m.dir)
}

// stopGrace is how long uploads may go on when the mount ends. Those that take
// longer are ended, and their drafts stay.
const stopGrace = 10 * time.Second

// stop ends all uploads: those that end by themselves soon, the others at once.
func (in *incoming) stop() {
	in.mu.Lock()
	in.stopped = true
	in.mu.Unlock()
	in.endTidy()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.work.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(stopGrace):
		in.t.log.Warn("uploads take too long; they are ended, and their drafts kept")
	}
	in.cancel(errStopped)
	<-ended
}
