package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Open opens a file.
func (l *lasting) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	l.undo(in.Unique)
	if st := l.RawFileSystem.Open(cancel, in, out); !st.Ok() {
		return st
	}
	out.Fh = l.add(in, in.NodeId, out.Fh, uint64(uint32(out.BackingID))<<32)
	return fuse.OK
}

// Create makes a file and opens it. One that the process before has made, for
// the same request, is opened.
func (l *lasting) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	l.undo(in.Unique)
	st := l.RawFileSystem.Create(cancel, in, name, out)
	if st == statusExists && in.Unique&resentBit != 0 {
		open := &fuse.OpenIn{InHeader: in.InHeader, Flags: in.Flags &^ (syscall.O_CREAT | syscall.O_EXCL)}
		if st = l.RawFileSystem.Lookup(cancel, &in.InHeader, name, &out.EntryOut); st.Ok() {
			open.NodeId = out.NodeId
			st = l.RawFileSystem.Open(cancel, open, &out.OpenOut)
		}
	}
	if !st.Ok() {
		return st
	}
	open := &fuse.OpenIn{InHeader: in.InHeader, Flags: in.Flags}
	out.Fh = l.add(open, out.NodeId, out.Fh, 0)
	return fuse.OK
}

// OpenDir opens a directory.
func (l *lasting) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	l.undo(in.Unique)
	if st := l.RawFileSystem.OpenDir(cancel, in, out); !st.Ok() {
		return st
	}
	out.Fh = l.add(in, in.NodeId, out.Fh, handleIsDir)
	return fuse.OK
}

// Release ends an opening. One that is not known ended when the process before was
// told of it.
func (l *lasting) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	h := l.remove(in.Fh)
	if h == nil {
		return
	}
	if in.Fh&dataBit != 0 {
		in.Fh = 0
		l.ledger.Remove(&h.Line)
		l.RawFileSystem.Release(cancel, in)
		return
	}
	if h.open {
		in.Fh = h.inner
		l.RawFileSystem.Release(cancel, in)
	}
	l.ledger.Remove(&h.Line)
}

// ReleaseDir ends the reading of a directory.
func (l *lasting) ReleaseDir(in *fuse.ReleaseIn) {
	h := l.remove(in.Fh)
	if h == nil {
		return
	}
	if h.open {
		in.Fh = h.inner
		l.RawFileSystem.ReleaseDir(in)
	}
	l.ledger.Remove(&h.Line)
}

// again is for what can be done once: asked a second time, because the process
// before has died, it fails as if somebody else had done it. That is no failure.
func again(unique uint64, st, done fuse.Status) fuse.Status {
	if unique&resentBit != 0 && st == done {
		return fuse.OK
	}
	return st
}

// Unlink removes a file.
func (l *lasting) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return again(header.Unique, l.RawFileSystem.Unlink(cancel, header, name), statusNotExist)
}

// Rmdir removes a directory.
func (l *lasting) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return again(header.Unique, l.RawFileSystem.Rmdir(cancel, header, name), statusNotExist)
}

// Rename renames. Of drafts it can be seen whether that has been done.
func (l *lasting) Rename(cancel <-chan struct{}, in *fuse.RenameIn, old, name string) fuse.Status {
	st := l.RawFileSystem.Rename(cancel, in, old, name)
	if _, _, there := l.tree.incoming.find(name); !there || in.Newdir != incomingIdentity.number() {
		return st
	}
	return again(in.Unique, st, statusNotExist)
}

// RemoveXAttr removes an attribute.
func (l *lasting) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return again(header.Unique, l.RawFileSystem.RemoveXAttr(cancel, header, name), statusNoAttr)
}

// The rest is for handles to have go-fuse's numbers.

func (l *lasting) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if st := l.inner(&in.Fh_); !st.Ok() {
		return st
	}
	return l.RawFileSystem.GetAttr(cancel, in, out)
}

func (l *lasting) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if _, ok := in.GetFh(); ok {
		if st := l.inner(&in.Fh); !st.Ok() {
			return st
		}
	}
	return l.RawFileSystem.SetAttr(cancel, in, out)
}

func (l *lasting) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if st := l.inner(&in.Fh); !st.Ok() {
		return nil, st
	}
	return l.RawFileSystem.Read(cancel, in, buf)
}

func (l *lasting) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	number := in.Fh
	l.mark(number, handleWrote) // before it is
	if st := l.inner(&in.Fh); !st.Ok() {
		return 0, st
	}
	n, st := l.RawFileSystem.Write(cancel, in, data)
	if !st.Ok() {
		l.mark(number, handleFailed)
	}
	return n, st
}

// Writev has the file system asked with Write, which is all that it knows.
func (l *lasting) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

func (l *lasting) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.Lseek(cancel, in, out)
}

func (l *lasting) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.Fallocate(cancel, in)
}

func (l *lasting) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	for _, number := range []*uint64{&in.FhIn, &in.FhOut} {
		if st := l.inner(number); !st.Ok() {
			return 0, st
		}
	}
	return l.RawFileSystem.CopyFileRange(cancel, in)
}

func (l *lasting) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, buf []byte, out *fuse.IoctlOut, answer []byte) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.Ioctl(cancel, in, buf, out, answer)
}

func (l *lasting) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.Flush(cancel, in)
}

func (l *lasting) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.Fsync(cancel, in)
}

func (l *lasting) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.ReadDir(cancel, in, out)
}

func (l *lasting) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.ReadDirPlus(cancel, in, out)
}

func (l *lasting) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if st := l.inner(&in.Fh); !st.Ok() {
		return st
	}
	return l.RawFileSystem.FsyncDir(cancel, in)
}
