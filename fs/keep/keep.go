// Package keep keeps a mount in use while the process that serves it comes and
// goes. A keeper holds the kernel's end of the mount, and has a worker serve it:
// when the worker dies, or is to give way to a newer glancefs, whoever uses the
// mount waits until the next worker goes on.
//
// The keeper must be the last to fail, so it does next to nothing: it serves no
// request, opens no file of the mount, and knows neither images nor cache. What
// a worker leaves to the next is in a file in memory that the keeper holds and
// does not read.
package keep

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxDeaths of workers that have served, within deathSpan, are too many: what does
	// not live that long is not going to.
	maxDeaths = 5
	deathSpan = time.Minute
	// vainSpan is how long it is tried to have one serve at all. What keeps it from
	// that is on the host, no memory or no disk, and may pass or be mended; whoever
	// uses the mount waits as long as for a service that does not answer.
	vainSpan = time.Minute
	// shortLife is what a worker does not reach that dies of what it is asked. The
	// first such death in a row does not keep the next worker back, the second does
	// for firstPause, and each further one twice as long as the one before, up to
	// maxPause.
	shortLife  = 250 * time.Millisecond
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	// prepareLimit and serveLimit are how long a worker may take to be ready to
	// take over, and to take over.
	prepareLimit = 90 * time.Second
	serveLimit   = 30 * time.Second
	// stopLimit is how long one may take to give way. It is there for the sake of
	// uploads; whoever reads waits as long.
	stopLimit = time.Second
	// endLimit is how long one may take to end the mount: more than all it waits for
	// then, so that it is only reached by one that hangs.
	endLimit = 30 * time.Second
)

// Config is what a keeper needs to know.
type Config struct {
	Dir     string                   // the mountpoint, absolute
	Program string                   // the path of glancefs, which an upgrade starts
	Args    func(heir bool) []string // of a worker, behind its name
	Mount   Options
	Ready   func(line string) error // called once, when the mount can be used
	Output  io.Writer               // for what workers say
	Log     *slog.Logger
}

// Ended is the exit status of a mount that was not to be kept, and which has told
// why.
type Ended int

func (e Ended) Error() string { return fmt.Sprintf("the worker ended with status %d", int(e)) }

// A keeper is the state of Run, which is its only goroutine but for those that
// wait for one thing each and send it as an event.
type keeper struct {
	Config
	device, ledger *os.File
	word           *os.File // for those who ask when the mount does not answer
	systemd        *systemd
	events         chan event

	nice     int      // of the keeper, and of a worker that serves
	program  *os.File // what runs, whatever is at its path by now
	serving  *worker  // nil while nobody does
	heir     *worker  // is being prepared to be the next
	replaces *os.File // what ran before an upgrade that is under way

	lasting  bool        // the kernel lets a worker be followed by another
	ready    bool        // has been
	stopping bool        // the mount is to end
	stopBy   time.Time   // by when
	wanted   bool        // an upgrade, once somebody serves
	looked   time.Time   // when workers were last looked at
	alone    time.Time   // since when nobody serves, if nobody does
	vain     int         // workers since then that have not come to serve
	deaths   []time.Time // of those that have
	short    int         // of the last deaths, how many were of short lives, or of none
	history  History
}

// An event is something that has happened, to be seen to.
type event func() (done bool, err error)

// Run mounts and keeps the mount until it ends: by SIGTERM or SIGINT, by umount, or
// because no worker lives.
func Run(c Config) error {
	// A worker ends when the thread that started it does.
	runtime.LockOSThread()
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	k := &keeper{Config: c, events: make(chan event), program: program, nice: niceness(), systemd: newSystemd(c.Log)}
	if k.ledger, err = newLedger(); err != nil {
		return err
	}
	if k.word, err = newWord(); err != nil {
		return err
	}
	if err := k.start(false); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR2)
	defer signal.Stop(signals)
	tick := time.NewTicker(k.systemd.every())
	defer tick.Stop()
	for {
		var done bool
		select {
		case s := <-signals:
			done = k.signalled(s.(syscall.Signal))
		case happened := <-k.events:
			done, err = happened()
		case now := <-tick.C:
			k.look(now)
		}
		if done || err != nil {
			return err
		}
	}
}

// newLedger makes a file that is gone with those who have it open.
func newLedger() (*os.File, error) {
	fd, err := unix.MemfdCreate("glancefs-ledger", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), "ledger"), nil
}

// signalled passes a signal on, or upgrades.
func (k *keeper) signalled(s syscall.Signal) (done bool) {
	switch s {
	case syscall.SIGUSR2:
		if !k.stopping {
			k.upgrade()
		}
		return false
	case syscall.SIGTERM, syscall.SIGINT:
		if !k.stopping {
			k.stopping, k.stopBy = true, time.Now().Add(endLimit)
		}
	}
	for _, w := range []*worker{k.serving, k.heir} {
		switch {
		case w == nil:
		case s == syscall.SIGHUP && !w.prepared:
			w.hungUp = true
		default:
			w.signal(s)
		}
	}
	if k.stopping && k.serving == nil && k.heir == nil {
		k.unmount()
		return true
	}
	return false
}

// start begins to prepare a worker.
func (k *keeper) start(heir bool) error {
	w, err := startWorker(k.program, k.Args(heir), k.systemd.environ(), k.Output)
	if err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	k.heir = w
	if heir {
		w.limit = time.Now().Add(prepareLimit)
	}
	w.watch(func(m Message) { k.events <- func() (bool, error) { return k.told(w, m) } },
		func(s *os.ProcessState) { k.events <- func() (bool, error) { return k.ended(w, s) } })
	return nil
}

// told sees to what a worker says.
func (k *keeper) told(w *worker, m Message) (bool, error) {
	switch {
	case m.Notify != "":
		if strings.Contains(m.Notify, "WATCHDOG=1") {
			w.heard = time.Now()
		}
		k.systemd.tell(m.Notify)
	case m.State == Prepared && w == k.heir:
		w.prepared = true
		w.limit = time.Time{}
		if w.hungUp {
			w.signal(syscall.SIGHUP)
		}
		if k.serving != nil && !k.stopping { // which is to give way
			k.serving.send(Message{State: Stop})
			k.serving.given = true
			k.serving.limit = time.Now().Add(stopLimit)
		}
		return k.succeed()
	case m.State == Serving && w == k.heir:
		return k.took(w, m)
	}
	return false, nil
}

// succeed has a prepared worker take over when nobody serves.
func (k *keeper) succeed() (bool, error) {
	w := k.heir
	if k.serving != nil || w == nil || !w.prepared {
		return false, nil
	}
	if !k.ready {
		device, err := mount(k.Dir, k.Mount)
		if err != nil {
			k.Log.Info("mounted without a keeper; open files will not outlive the process", "err", err)
		}
		k.device = device
	}
	if k.ready {
		w.setNice(hurry) // if it was prepared while another one served
	}
	w.limit = time.Now().Add(serveLimit)
	w.send(Message{State: Go, History: &k.history}, k.device, k.ledger)
	return false, nil
}

// took sees to a worker that has begun to serve.
func (k *keeper) took(w *worker, m Message) (bool, error) {
	k.serving, k.heir, k.vain = w, nil, 0
	w.setNice(k.nice)
	if k.ready {
		k.systemd.tell("WATCHDOG=1") // it has just been proved, and the next proof is a while away
	}
	w.limit, w.since, w.heard = time.Time{}, time.Now(), time.Now()
	if k.replaces != nil {
		k.replaces.Close()
		k.replaces = nil
	}
	if k.ready {
		w.send(Message{State: Told, History: &k.history}) // it may have changed meanwhile
		if k.wanted {
			k.upgrade()
		}
		return false, nil
	}
	k.ready, k.lasting = true, m.Lasting && k.device != nil
	if !k.lasting && k.device != nil {
		k.Log.Info("this kernel cannot ask a second process; open files will not outlive the first (Linux 6.9 can)")
		k.device.Close() // or readers would wait for ever when the worker has died
		k.device = nil
	}
	if err := k.Ready(m.Line); err != nil {
		k.unmount()
		return true, err
	}
	return false, nil
}

// look ends workers that take too long for something, or of which the watchdog has
// not heard.
func (k *keeper) look(now time.Time) {
	k.forgive(now)
	for _, w := range []*worker{k.serving, k.heir} {
		if w == nil {
			continue
		}
		k.attend(w, now)
		if w.killed {
			continue
		}
		if !w.limit.IsZero() && now.After(w.limit) || k.stopping && now.After(k.stopBy) {
			k.Log.Error("a worker takes too long; killed", "pid", w.pid())
			w.kill()
		}
	}
	if w := k.serving; w != nil && k.lasting && k.systemd.overdue(now.Sub(w.heard)) && w.limit.IsZero() {
		k.Log.Error("the mount does not answer; its worker is killed", "pid", w.pid())
		w.signal(syscall.SIGABRT) // which has it tell where it is
		w.limit = now.Add(time.Second)
	}
}
