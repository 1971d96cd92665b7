package keep

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A Post is a worker's way to its keeper.
type Post struct{ fd int }

// keeperFD is where a worker has the way to its keeper open: exec.Cmd puts the
// first of the files it passes on there.
const keeperFD = 3

// NewPost returns the way to the keeper that has started this process.
func NewPost() (*Post, error) {
	kind, err := unix.GetsockoptInt(keeperFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_SEQPACKET {
		return nil, errors.New("a worker is started by \"glancefs mount\" and nobody else")
	}
	unix.CloseOnExec(keeperFD)
	return &Post{keeperFD}, nil
}

// Send tells the keeper something.
func (p *Post) Send(m Message) error { return send(p.fd, 0, m) }

// Receive waits for what the keeper says.
func (p *Post) Receive() (Message, []*os.File, error) { return receive(p.fd) }

// Await says that the worker is prepared, and returns when it is its turn: with
// the kernel's end of the mount, nil if the worker has to mount by itself, and
// the ledger.
func (p *Post) Await() (device, ledger *os.File, h History, err error) {
	if err := p.Send(Message{State: Prepared}); err != nil {
		return nil, nil, h, fmt.Errorf("the keeper does not listen: %w", err)
	}
	m, files, err := p.Receive()
	switch {
	case err != nil:
		return nil, nil, h, fmt.Errorf("the keeper has ended: %w", err)
	case m.State != Go || m.History == nil || len(files) == 0:
		return nil, nil, h, fmt.Errorf("the keeper said %q with %d files", m.State, len(files))
	case len(files) == 1:
		return nil, files[0], *m.History, nil
	}
	return files[0], files[1], *m.History, nil
}
