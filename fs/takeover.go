package fs

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"glancefs/fs/ledger"
	"glancefs/glanceapi"
)

// Kept is what a mount is kept with, while processes that serve it follow each
// other.
type Kept struct {
	Device *os.File // the kernel's end of the mount
	Ledger *os.File // what the process before has left, and this one leaves
}

// ledgerFormat is of the lines of a ledger and of what they mean. A process does
// not read those of another format.
const ledgerFormat = 1

// The kinds of record. What their numbers and texts are is said where they are
// written.
const (
	lineSession = ledger.FirstKind + iota // of the mount as such
	lineNode
	lineHandle
	lineLink
	lineImage
	lineBecame
)

// errNoLedger is of a mount of which nothing can be written down for the next process.
var errNoLedger = errors.New("no memory for what the next process has to know")

// A session is what holds for as long as the mount does. It is a line of its own,
// with the format as its number.
type session struct {
	Init     []byte    // the kernel's INIT request
	Started  time.Time // when it was mounted
	Device   string    // of the mount; "" if it was not found
	Endpoint string    // of the service; "" if an older glancefs has mounted
	Version  string    // of its API, when it was mounted
}

// A legacy is what the process before has left.
type legacy struct {
	session session
	lines   map[uint8][]*ledger.Line
}

// inherit opens the ledger of k. The legacy is nil for the first process.
func (k *Kept) inherit() (*ledger.Ledger, *legacy, error) {
	l, lines, err := ledger.Open(k.Ledger)
	if err != nil || len(lines) == 0 {
		return l, nil, err
	}
	left := &legacy{lines: make(map[uint8][]*ledger.Line)}
	for _, r := range lines {
		left.lines[r.Kind] = append(left.lines[r.Kind], r)
	}
	sessions := left.lines[lineSession]
	if len(sessions) != 1 || sessions[0].Num[0] != ledgerFormat {
		return nil, nil, fmt.Errorf("%w: another format", ledger.ErrFormat)
	}
	if err := json.Unmarshal([]byte(sessions[0].Text), &left.session); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ledger.ErrFormat, err)
	}
	return l, left, nil
}

// Service is which one the mount shows, as the process that has mounted has left it:
// the endpoint, "" if it has not, and the version of the API.
func (k *Kept) Service() (endpoint, version string, err error) {
	_, left, err := k.inherit()
	if err != nil || left == nil {
		return "", "", err
	}
	return left.session.Endpoint, left.session.Version, nil
}

// initSize is the size of an INIT request, and initOpcode its number
// (linux/fuse.h, fuse_in_header and fuse_init_in).
const (
	initSize   = 104
	initOpcode = 26
)

// begin writes the session into the ledger of a mount that has just been made.
func (t *tree) begin(kernel *fuse.InitIn, device string) error {
	b := bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(kernel)), initSize))
	binary.LittleEndian.PutUint32(b[0:], initSize)
	binary.LittleEndian.PutUint32(b[4:], initOpcode)
	text, err := json.Marshal(session{b, t.started, device, t.service.Endpoint(), t.service.Version()})
	if err != nil {
		return err
	}
	if t.ledger.Add(&ledger.Line{Kind: lineSession, Num: [6]uint64{ledgerFormat}, Text: string(text)}) == 0 {
		return errNoLedger
	}
	return nil
}

// attach makes a server of a mount that has been made already.
func attach(raw fuse.RawFileSystem, device *os.File, o fuse.MountOptions) (*fuse.Server, error) {
	o.DirectMount, o.DirectMountStrict = false, false
	// The server closes what it has.
	fd, err := unix.FcntlInt(device.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", fd), &o)
}

// succeed makes a server of a mount that another process has served. It is told
// what the kernel has told that one, and then given the kernel's end.
func succeed(raw fuse.RawFileSystem, device *os.File, init []byte, o fuse.MountOptions) (*fuse.Server, error) {
	o.DirectMount, o.DirectMountStrict = false, false
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	if _, err := unix.Write(pair[1], init); err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", pair[0]), &o)
	if err != nil {
		return nil, err
	}
	if err := unix.Dup3(int(device.Fd()), pair[0], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	return server, nil
}

// resend has the kernel send again what the process before has read and not
// answered: a notice of that code without anything else (linux/fuse.h,
// fuse_out_header).
func resend(device *os.File) error {
	var b [16]byte
	const code = -fuse.NOTIFY_RESEND
	binary.LittleEndian.PutUint32(b[0:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], code)
	if _, err := unix.Write(int(device.Fd()), b[:]); err != nil {
		return fmt.Errorf("having requests sent again: %w", err)
	}
	return nil
}

// takeOver makes all that the kernel knows known here. Nothing is asked of
// anybody, so it takes no longer than it has to.
func (t *tree) takeOver(left *legacy, bridge fuse.RawFileSystem, p *passthrough, l *lasting) {
	lost := 0
	for _, old := range left.lines[lineBecame] {
		t.incoming.recallFormer(old)
	}
	for _, old := range left.lines[lineLink] {
		if err := t.incoming.recallLink(old); err != nil {
			t.log.Error("a link in incoming is not taken over", "err", err)
		}
	}
	for _, old := range left.lines[lineNode] {
		if err := t.nodes.recall(old); err != nil {
			t.log.Error("a node is not taken over", "err", err)
			continue
		}
		var out fuse.EntryOut
		if st := bridge.Lookup(nil, &fuse.InHeader{NodeId: old.Num[0]}, ".", &out); !st.Ok() {
			t.log.Error("a node is not taken over", "node", old.Text, "err", st)
		}
		if is, _ := t.nodes.knows(old.Num[0]); t.isLost(is) {
			lost++
		}
	}
	for _, old := range left.lines[lineImage] {
		if err := t.recallImage(old); err != nil {
			t.log.Error("an open image is not taken over", "err", err)
			t.ledger.Remove(old)
		}
	}
	for _, old := range left.lines[lineHandle] {
		h := l.recall(old)
		is, ok := t.nodes.knows(h.Num[handleNode])
		switch {
		case !ok || is.kind != "data" && is.kind != "draft":
		case h.open && is.kind == "data":
			p.recall(h.Num[handleNode], t.dataOf(is.id), h.backing())
		case !h.open:
			if st := l.reopen(h); !st.Ok() {
				t.log.Error("an open file is not taken over", "kind", is.kind, "id", is.id)
			}
		}
	}
	t.log.Info("taken over", "nodes", len(left.lines[lineNode]), "lost", lost, "handles", len(left.lines[lineHandle]))
}

// A recaller is the top of the tree, which finds nodes by their numbers.
type recaller struct{ *dir }

var _ = (gofs.NodeLookupNoder)(recaller{})

// LookupNode makes a node again that the process before told the kernel of.
func (r recaller) LookupNode(ctx context.Context, number uint64, _ *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	is, ok := r.t.nodes.knows(number)
	if !ok {
		return nil, r.t.errno("take over", errLost)
	}
	c, err := r.t.node(is)
	if err != nil {
		return r.NewInode(ctx, &lost{t: r.t}, is.stable()), 0
	}
	if d, ok := c.(*imageData); ok {
		d.wrong = -1
		r.t.data.Store(number, d)
	}
	return r.NewInode(ctx, c, is.stable()), 0
}

// dataOf returns the image data that takeOver has made a node of.
func (t *tree) dataOf(image string) *imageData {
	return t.opened(identity{"data", image}.number())
}

// recallImage makes image data what the process before had open, as it was then.
// Its blob is opened when it is read, or by reopenAll, since there may be thousands.
func (t *tree) recallImage(old *ledger.Line) error {
	var img glanceapi.Image
	if err := json.Unmarshal([]byte(old.Text), &img); err != nil {
		return err
	}
	d := t.dataOf(img.ID)
	if d == nil {
		return fmt.Errorf("image %s: %w", img.ID, errLost)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line, d.image, d.wrong = old, img, -1
	return nil
}

// reopenAll opens the blobs of image data that is open, one after the other, until
// ctx ends: for the cache they would be what an earlier store has left and nobody
// uses, which makes way first.
func (t *tree) reopenAll(ctx context.Context, open []*imageData) {
	for _, d := range open {
		if ctx.Err() != nil {
			return
		}
		if _, err := d.reopen(); err != nil {
			t.log.Warn("the cache file of an open image cannot be opened", "image", d.id, "err", err)
		}
	}
}

// isLasting reports whether a kernel sends requests again.
func isLasting(kernel *fuse.InitIn) bool { return kernel.Flags64()&fuse.CAP_HAS_RESEND != 0 }
