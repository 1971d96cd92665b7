package keep

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// hurry is the nice value of a worker that takes over. Whoever uses the mount waits
// for it, and where the host is busy it would wait behind everybody else.
const hurry = -10

// hurried runs start with what it starts in a hurry, as far as that is allowed. The
// calling thread is the keeper's, which is locked to it.
func (k *keeper) hurried(start func() error) error {
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), hurry)
	defer unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), k.nice)
	return start()
}

// niceness is the nice value of this thread. The system call returns 20 less it.
func niceness() int {
	v, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		return 0
	}
	return 20 - v
}

// setNice sets the nice value of all threads of the worker. Those that are being made
// meanwhile have that of the one that makes them, and are found the second time.
func (w *worker) setNice(nice int) {
	for range 2 {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.pid()))
		if err != nil {
			return // it has ended
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil {
				_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice)
			}
		}
	}
}
