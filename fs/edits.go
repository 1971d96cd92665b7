package fs

import (
	"context"
	"sync"
	"syscall"
)

// edits is what those who change images by their files have in common. Its zero
// value is ready.
type edits struct {
	readings readings
	turns    turns
	reasons  reasons
	scratch  scratchpad
}

// turns let one change of an image at a time through.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when its turn is over
}

// take waits for a turn at an image, which lasts until over.
func (t *turns) take(ctx context.Context, id string) (over func(), err error) {
	for {
		t.mu.Lock()
		end, taken := t.taken[id]
		if !taken {
			end = make(chan struct{})
			if t.taken == nil {
				t.taken = make(map[string]chan struct{})
			}
			t.taken[id] = end
		}
		t.mu.Unlock()
		if !taken {
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.taken, id)
				close(end)
			}, nil
		}
		select {
		case <-end:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// maxReasons is of how many files the reason is kept.
const maxReasons = 1024

// reasons are why files could not be changed, the last time that was tried.
type reasons struct {
	mu sync.Mutex
	of map[string]string
}

func (r *reasons) get(file string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[file]
}

// set keeps the reason of a file; nil takes it away.
func (r *reasons) set(file string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, file)
	if err == nil {
		return
	}
	for old := range r.of {
		if len(r.of) < maxReasons {
			break
		}
		delete(r.of, old)
	}
	if r.of == nil {
		r.of = make(map[string]string)
	}
	r.of[file] = err.Error()
}

// told turns the end of a change into what its caller sees, and keeps the reason
// for who asks file.
func (t *tree) told(file, doing string, err error) syscall.Errno {
	t.edits.reasons.set(file, err)
	if err == nil {
		return 0
	}
	errno, known := errnoOf(err)
	if !known {
		return t.errno(doing, err)
	}
	t.log.Warn(doing, "err", err)
	return errno
}

// getReason answers getxattr(2) of a file that has its reason and nothing else.
func (t *tree) getReason(file, name string, dest []byte) (uint32, syscall.Errno) {
	why := t.edits.reasons.get(file)
	if name != errorAttr || why == "" {
		return 0, t.errno("getxattr", errNoAttr)
	}
	return answer(why, dest)
}

// listReason answers listxattr(2) of such a file.
func (t *tree) listReason(file string, dest []byte) (uint32, syscall.Errno) {
	if t.edits.reasons.get(file) == "" {
		return 0, 0
	}
	return answerNames([]string{errorAttr}, dest)
}

// alter changes an image by do, when it is its turn. It belongs to the mount and
// not to who waits for it, but ends when that has to leave.
func (t *tree) alter(ctx context.Context, id string, do func(context.Context) error) error {
	return t.incoming.apart(ctx, func(ctx context.Context) error {
		over, err := t.edits.turns.take(ctx, id)
		if err != nil {
			return err
		}
		defer over()
		return do(ctx)
	})
}
