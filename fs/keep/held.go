package keep

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"glancefs/fs/proc"
)

// endsIn is how long a worker that was killed may take to end, before a word is said of
// it: the kernel gives its memory back first.
const endsIn = 2 * time.Second

// stoppedFor is for how long the keeper does not look after its workers only if it was
// stopped.
const stoppedFor = 2 * time.Second

// forgive lengthens what workers have to be heard of by, and to be ready by, by the time
// that the keeper was stopped: with its container or host, and so were they.
func (k *keeper) forgive(now time.Time) {
	stopped, first := now.Sub(k.looked), k.looked.IsZero()
	k.looked = now
	if first || stopped < stoppedFor {
		return
	}
	k.stopBy = k.stopBy.Add(stopped)
	for _, w := range []*worker{k.serving, k.heir} {
		if w == nil {
			continue
		}
		w.heard = w.heard.Add(stopped)
		if !w.limit.IsZero() {
			w.limit = w.limit.Add(stopped)
		}
	}
}

// attend says so if a worker was killed, by whomever, and does not end. The keeper is
// told of that only by its end, and nobody else can go on before.
func (k *keeper) attend(w *worker, now time.Time) {
	switch {
	case !w.killed && !isKilled(w.pid()):
	case w.dying.IsZero():
		w.dying = now
	case !w.held && now.Sub(w.dying) > endsIn:
		w.held = true
		word := Word{Killed: w.pid(), Since: w.dying, In: heldIn(w.pid())}
		said := []any{"pid", word.Killed, "since", word.Since, "in", word.In}
		if k.heir != nil && w != k.heir {
			word.Next = k.heir.pid()
			said = append(said, "waits for it", word.Next)
		}
		k.Log.Error("a worker that was killed does not end; it waits in the kernel, most often for a disk that is stuck", said...)
		if k.serving == nil || w == k.serving { // nobody serves until it ends
			k.say(word)
			k.systemd.tell("STATUS=" + word.String())
		}
	}
}

// isKilled reports whether a process has ended but for threads that cannot. Its first
// thread is a zombie then, or, when it is one of these, has a SIGKILL to come.
func isKilled(pid int) bool {
	state := proc.StatOf(pid).State()
	return state == "Z" || state == "X" || proc.SignalsOf(pid, "SigPnd")&proc.Set(syscall.SIGKILL) != 0
}

// heldIn is in which functions of the kernel threads of a process are that cannot be
// killed.
func heldIn(pid int) string {
	var all []string
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		thread, _ := strconv.Atoi(filepath.Base(task))
		if proc.StatOf(thread).State() == "D" {
			in, _ := os.ReadFile(filepath.Join(task, "wchan"))
			all = append(all, string(in))
		}
	}
	return strings.Join(all, " ")
}
