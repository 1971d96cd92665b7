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

// A session is what holds for as long as the mount does. It is a line of its own,
// with the format as its number.
type session struct {
	Init    []byte    // the kernel's INIT request
	Started time.Time // when it was mounted
}

// A legacy is what the process before has left.
type legacy struct {
	session session
	lines   map[uint8][]*line
}

// inherit opens the ledger of k. The legacy is nil for the first process.
func (k *Kept) inherit() (*ledger, *legacy, error) {
	l, lines, err := openLedger(k.Ledger)
	if err != nil || len(lines) == 0 {
		return l, nil, err
	}
	left := &legacy{lines: make(map[uint8][]*line)}
	for _, r := range lines {
		left.lines[r.kind] = append(left.lines[r.kind], r)
	}
	sessions := left.lines[lineSession]
	if len(sessions) != 1 || sessions[0].num[0] != ledgerFormat {
		return nil, nil, fmt.Errorf("%w: another format", errLedger)
	}
	if err := json.Unmarshal([]byte(sessions[0].text), &left.session); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errLedger, err)
	}
	return l, left, nil
}

// initSize is the size of an INIT request, and initOpcode its number
// (linux/fuse.h, fuse_in_header and fuse_init_in).
const (
	initSize   = 104
	initOpcode = 26
)

// begin writes the session into the ledger of a mount that has just been made.
func (t *tree) begin(kernel *fuse.InitIn) error {
	b := bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(kernel)), initSize))
	binary.LittleEndian.PutUint32(b[0:], initSize)
	binary.LittleEndian.PutUint32(b[4:], initOpcode)
	text, err := json.Marshal(session{b, t.started})
	if err != nil {
		return err
	}
	t.ledger.add(&line{kind: lineSession, num: [6]uint64{ledgerFormat}, text: string(text)})
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
		n := t.nodes.recall(old)
		var out fuse.EntryOut
		if st := bridge.Lookup(nil, &fuse.InHeader{NodeId: n.num[0]}, ".", &out); !st.Ok() {
			t.log.Error("a node is not taken over", "kind", n.is.kind, "id", n.is.id, "err", st)
		}
		if _, err := t.node(n.is); err != nil {
			lost++
		}
	}
	for _, old := range left.lines[lineImage] {
		if err := t.recallImage(old); err != nil {
			t.log.Error("an open image is not taken over", "err", err)
			t.ledger.remove(old)
		}
	}
	for _, old := range left.lines[lineHandle] {
		h := l.recall(old)
		is, ok := t.nodes.knows(h.num[handleNode])
		switch {
		case !ok || is.kind != "data" && is.kind != "draft":
		case h.open && is.kind == "data":
			p.recall(h.num[handleNode], t.dataOf(is.id), h.backing())
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
		return nil, syscall.ESTALE
	}
	c, err := r.t.node(is)
	if err != nil {
		return r.NewInode(ctx, &lost{t: r.t}, gofs.StableAttr{Mode: modeOf(is), Ino: number}), 0
	}
	if d, ok := c.(*imageData); ok {
		r.t.data.Store(number, d)
	}
	return r.NewInode(ctx, c, c.stable()), 0
}

// modeOf is the type of a node that is found no more.
func modeOf(is identity) uint32 {
	if is.kind == "query" || is.kind == "by-member" {
		return syscall.S_IFDIR
	}
	return syscall.S_IFREG
}

// dataOf returns the image data that takeOver has made a node of.
func (t *tree) dataOf(image string) *imageData {
	return t.opened(identity{"data", image}.number())
}

// recallImage makes image data open that the process before had open, as it was
// then.
func (t *tree) recallImage(old *line) error {
	var img glanceapi.Image
	if err := json.Unmarshal([]byte(old.text), &img); err != nil {
		return err
	}
	d := t.dataOf(img.ID)
	if d == nil {
		return fmt.Errorf("image %s: %w", img.ID, errLost)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = old
	return d.openAs(img)
}

// A lost node is one that the kernel knows, and of which nothing is left: an
// editor's file, or a draft that was removed while it was open.
type lost struct {
	gofs.Inode
	t *tree
}

var errLost = errors.New("it was lost with the process that served it before")

var (
	_ = (gofs.NodeGetattrer)((*lost)(nil))
	_ = (gofs.NodeSetattrer)((*lost)(nil))
	_ = (gofs.NodeOpener)((*lost)(nil))
	_ = (gofs.NodeLookuper)((*lost)(nil))
	_ = (gofs.NodeOpendirHandler)((*lost)(nil))
)

// Getattr, and what follows, tells that the node is lost.
func (n *lost) Getattr(context.Context, gofs.FileHandle, *fuse.AttrOut) syscall.Errno {
	return n.t.errno("stat", errLost)
}

func (n *lost) Setattr(context.Context, gofs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return n.t.errno("setattr", errLost)
}

func (n *lost) Open(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, n.t.errno("open", errLost)
}

func (n *lost) Lookup(context.Context, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, n.t.errno("look up", errLost)
}

func (n *lost) OpendirHandle(context.Context, uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, n.t.errno("list", errLost)
}

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
			if is, ours, gone := t.nodes.drop(number, since); gone {
				l.forgotten(number, is, ours)
			}
		}
		old = old[:0]
		select {
		case number := <-t.doubts:
			old = append(old, number)
		case <-ctx.Done():
			return
		}
	more:
		for {
			select {
			case number := <-t.doubts:
				old = append(old, number)
			default:
				break more
			}
		}
	}
}

// isLasting reports whether a kernel sends requests again.
func isLasting(kernel *fuse.InitIn) bool { return kernel.Flags64()&fuse.CAP_HAS_RESEND != 0 }
