package fs

import (
	"context"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// doubtful is how long after a time of doubt the kernel is asked whether it knows a
// node: by then it has made use of any answer.
const doubtful = 10 * time.Second

// doubt has the kernel asked about a node that it should know.
func (t *tree) doubt(number uint64) {
	select {
	case t.doubts <- number:
	default: // then it is counted on, as the next time
	}
}

// settleNodes asks the kernel about nodes that are in doubt, and forgets those that
// it does not know, until ctx ends. All are in doubt that the process before knew.
func (t *tree) settleNodes(ctx context.Context, l *lasting, kernel *fuse.Server, old []uint64) {
	for {
		select {
		case <-time.After(doubtful):
		case <-ctx.Done():
			return
		}
		since := time.Now().Add(-doubtful)
		for _, number := range old {
			// To say that attributes have changed is the least there is to say.
			if kernel.InodeNotify(number, -1, 0) != fuse.ENOENT {
				continue
			}
			if ours, gone := t.nodes.drop(number, since); gone {
				l.forgotten(number, ours)
			}
		}
		old = t.doubted(ctx)
	}
}

// doubted returns nodes that are in doubt, once there are any, or nothing when ctx
// ends.
func (t *tree) doubted(ctx context.Context) (numbers []uint64) {
	select {
	case number := <-t.doubts:
		numbers = append(numbers, number)
	case <-ctx.Done():
	}
	for len(t.doubts) > 0 {
		numbers = append(numbers, <-t.doubts)
	}
	return numbers
}
