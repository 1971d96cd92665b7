package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// What follows is fuse.RawFileSystem, operation by operation.

func (m *metered) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Lookup(cancel, header, name, out)
	m.end("lookup", begun, st)
	return st
}

func (m *metered) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.GetAttr(cancel, in, out)
	m.end("getattr", begun, st)
	return st
}

func (m *metered) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.SetAttr(cancel, in, out)
	m.end("setattr", begun, st)
	return st
}

func (m *metered) Readlink(cancel <-chan struct{}, header *fuse.InHeader) (out []byte, st fuse.Status) {
	begun := m.begin()
	out, st = m.RawFileSystem.Readlink(cancel, header)
	m.end("readlink", begun, st)
	return out, st
}

func (m *metered) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Mknod(cancel, in, name, out)
	m.end("mknod", begun, st)
	return st
}

func (m *metered) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Mkdir(cancel, in, name, out)
	m.end("mkdir", begun, st)
	return st
}

func (m *metered) Unlink(cancel <-chan struct{}, header *fuse.InHeader, name string) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Unlink(cancel, header, name)
	m.end("unlink", begun, st)
	return st
}

func (m *metered) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Rmdir(cancel, header, name)
	m.end("rmdir", begun, st)
	return st
}

func (m *metered) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Rename(cancel, in, from, to)
	m.end("rename", begun, st)
	return st
}

func (m *metered) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Link(cancel, in, name, out)
	m.end("link", begun, st)
	return st
}

func (m *metered) Symlink(cancel <-chan struct{}, header *fuse.InHeader, to, name string, out *fuse.EntryOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Symlink(cancel, header, to, name, out)
	m.end("symlink", begun, st)
	return st
}

func (m *metered) Access(cancel <-chan struct{}, in *fuse.AccessIn) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Access(cancel, in)
	m.end("access", begun, st)
	return st
}

func (m *metered) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (n uint32, st fuse.Status) {
	begun := m.begin()
	n, st = m.RawFileSystem.GetXAttr(cancel, header, name, dest)
	m.end("getxattr", begun, st)
	return n, st
}

func (m *metered) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (n uint32, st fuse.Status) {
	begun := m.begin()
	n, st = m.RawFileSystem.ListXAttr(cancel, header, dest)
	m.end("listxattr", begun, st)
	return n, st
}

func (m *metered) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.SetXAttr(cancel, in, name, data)
	m.end("setxattr", begun, st)
	return st
}

func (m *metered) RemoveXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.RemoveXAttr(cancel, header, name)
	m.end("removexattr", begun, st)
	return st
}

func (m *metered) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Create(cancel, in, name, out)
	m.end("create", begun, st)
	return st
}

func (m *metered) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Open(cancel, in, out)
	m.end("open", begun, st)
	return st
}

func (m *metered) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (r fuse.ReadResult, st fuse.Status) {
	begun := m.begin()
	r, st = m.RawFileSystem.Read(cancel, in, buf)
	m.end("read", begun, st)
	return r, st
}

func (m *metered) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (n uint32, st fuse.Status) {
	begun := m.begin()
	n, st = m.RawFileSystem.Write(cancel, in, data)
	m.end("write", begun, st)
	return n, st
}

// Writev is a write, too. A file system that does not know it is asked again with
// Write.
func (m *metered) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (n uint32, st fuse.Status) {
	begun := m.begin()
	n, st = m.RawFileSystem.Writev(cancel, in, data)
	if st == fuse.ENOSYS {
		m.running.Add(-1)
		return n, st
	}
	m.end("write", begun, st)
	return n, st
}

func (m *metered) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Lseek(cancel, in, out)
	m.end("lseek", begun, st)
	return st
}

func (m *metered) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Fallocate(cancel, in)
	m.end("fallocate", begun, st)
	return st
}

func (m *metered) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (n uint32, st fuse.Status) {
	begun := m.begin()
	n, st = m.RawFileSystem.CopyFileRange(cancel, in)
	m.end("copy_file_range", begun, st)
	return n, st
}

func (m *metered) Flush(cancel <-chan struct{}, in *fuse.FlushIn) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Flush(cancel, in)
	m.end("flush", begun, st)
	return st
}

func (m *metered) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.Fsync(cancel, in)
	m.end("fsync", begun, st)
	return st
}

func (m *metered) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.OpenDir(cancel, in, out)
	m.end("opendir", begun, st)
	return st
}

func (m *metered) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.ReadDir(cancel, in, out)
	m.end("readdir", begun, st)
	return st
}

func (m *metered) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.ReadDirPlus(cancel, in, out)
	m.end("readdirplus", begun, st)
	return st
}

func (m *metered) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.FsyncDir(cancel, in)
	m.end("fsyncdir", begun, st)
	return st
}

func (m *metered) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) (st fuse.Status) {
	begun := m.begin()
	st = m.RawFileSystem.StatFs(cancel, in, out)
	m.end("statfs", begun, st)
	return st
}

func (m *metered) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	begun := m.begin()
	m.RawFileSystem.Release(cancel, in)
	m.end("release", begun, fuse.OK)
}
