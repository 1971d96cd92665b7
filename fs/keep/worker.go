package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A worker is a process that serves the mount, or is to.
type worker struct {
	cmd      *exec.Cmd
	conn     *os.File
	prepared bool      // for its turn
	hungUp   bool      // is to be sent SIGHUP, which it does not take before it is prepared
	given    bool      // was told to give way
	limit    time.Time // by when it has to have done what it is at; zero for no limit
	killed   bool      // for having taken longer, though it may not have ended yet
	dying    time.Time // since when it is known that it was killed, by whomever; zero before
	held     bool      // and does not end
	since    time.Time // when it began to serve; zero before
	heard    time.Time // when it last said that the mount answers
}

// startWorker starts one of a program.
func startWorker(program *os.File, args, environ []string, output io.Writer) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "keeper")
	defer theirs.Close()
	cmd := exec.Command(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), args...)
	cmd.Args[0] = "glancefs"
	cmd.Env = environ
	cmd.Stderr = output
	cmd.ExtraFiles = []*os.File{theirs}
	// One without a keeper would keep whoever uses the mount waiting for ever,
	// should it hang.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	return &worker{cmd: cmd, conn: ours}, nil
}

// watch passes on what the worker says and, when it has said all, how it ended.
func (w *worker) watch(says func(Message), ends func(*os.ProcessState)) {
	go func() {
		for {
			m, _, err := receive(int(w.conn.Fd()))
			if err != nil {
				break
			}
			says(m)
		}
		w.cmd.Wait()
		w.conn.Close()
		ends(w.cmd.ProcessState)
	}()
}

// send tells the worker something. One that does not listen has ended, or will be
// ended.
func (w *worker) send(m Message, files ...*os.File) {
	conn, err := w.conn.SyscallConn() // which may be closed meanwhile, and its number be another's
	if err == nil {
		_ = conn.Control(func(fd uintptr) { _ = send(int(fd), unix.MSG_DONTWAIT, m, files...) })
	}
}

func (w *worker) signal(s syscall.Signal) { _ = w.cmd.Process.Signal(s) }

// kill ends the worker. One that waits for a disk that is stuck ends after that.
func (w *worker) kill() {
	w.killed = true
	w.signal(syscall.SIGKILL)
}

func (w *worker) pid() int { return w.cmd.Process.Pid }

// end is the error of a mount that ends with a worker: its exit status, of which it
// has told why, or the signal by which it ended.
func end(w *worker, s *os.ProcessState) error {
	if !s.Exited() {
		return errors.New(cause(w, s))
	}
	return Ended(s.ExitCode())
}

// cause says how a worker has ended.
func cause(w *worker, s *os.ProcessState) string {
	return fmt.Sprintf("process %d: %s", w.pid(), s)
}

// States that a worker and its keeper tell each other.
const (
	Prepared = "prepared" // the worker can take over
	Go       = "go"       // and is to, with the files that come with it
	Serving  = "serving"  // the mount can be used
	Stop     = "stop"     // the worker is to give way, and then to end
	Told     = "told"     // the history has changed
)

// A Message is what a worker and its keeper tell each other, one datagram each.
type Message struct {
	State   string   `json:"state,omitempty"`
	Notify  string   `json:"notify,omitempty"`  // for systemd, as sd_notify(3) has it
	Line    string   `json:"line,omitempty"`    // of Serving: for people
	Lasting bool     `json:"lasting,omitempty"` // of Serving: the kernel would ask the next worker again
	History *History `json:"history,omitempty"`
}

// A History is how often, and why, workers have followed each other.
type History struct {
	Restarts int    `json:"restarts"`
	Last     string `json:"last"`     // why, the last time
	Upgrades int    `json:"upgrades"` // that were asked for
	Refused  string `json:"refused"`  // why the last one came to nothing
}

// maxMessage is the longest datagram, in bytes.
const maxMessage = 64 << 10

// send sends a message, with files that are not nil.
func send(fd, flags int, m Message, files ...*os.File) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		if f != nil {
			fds = append(fds, int(f.Fd()))
		}
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, b, rights, nil, unix.MSG_NOSIGNAL|flags)
}

// receive waits for a message, and returns it with the files it came with.
func receive(fd int) (m Message, files []*os.File, err error) {
	b, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*4))
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return m, nil, err
	}
	if n == 0 {
		return m, nil, os.ErrClosed
	}
	control, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return m, nil, err
	}
	for _, c := range control {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return m, nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "kept"))
		}
	}
	return m, files, json.Unmarshal(b[:n], &m)
}
