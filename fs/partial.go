package fs

import (
	"context"
	"strings"
	"syscall"

	"glancefs/fs/proc"
)

// whyPartial is why what rsync --partial leaves is no image.
const whyPartial = "rsync ended before all of it was there"

// givesUp reports whether rsync renames its file because it has failed, or was
// interrupted: with --partial, or -P, it puts what it has in the place of what there
// would be. It does the same with what is whole, but for one thing: before all else
// that it does to end early it ignores the signals by which its processes tell each
// other that they are through.
func givesUp(ctx context.Context, old, name string) bool {
	thread, _ := caller(ctx)
	if thread == 0 || !isRsyncs(old, name) {
		return false
	}
	ends := proc.Set(syscall.SIGUSR1, syscall.SIGUSR2)
	return proc.SignalsOf(thread, "SigIgn")&ends == ends
}

// isRsyncs reports whether a name is one under which rsync writes what is to be name:
// .NAME.XXXXXX, of a long name the beginning.
func isRsyncs(temporary, name string) bool {
	stem, ok := strings.CutPrefix(temporary, ".")
	end := len(stem) - len(".XXXXXX")
	return ok && end > 0 && stem[end] == '.' && strings.HasPrefix(name, stem[:end])
}
