package fs

import (
	"errors"
	"os"
	"reflect"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// errNoBuffers is that go-fuse is not as resident knows it.
var errNoBuffers = errors.New("go-fuse has no pool of buffers for requests")

// resident has the memory that requests are read into be there before the kernel writes
// to it. A process that is being killed gets no new pages: the kernel fails to give it
// a request that needs one, and answers that itself, with EIO. It happened to one of 50
// programs that wrote by the MiB when the worker was killed a moment after its start.
// A request that was read, or was not begun to be read, goes to the next worker.
//
// go-fuse has no other way to its buffers than the name of a field.
func resident(s *fuse.Server) error {
	field := reflect.ValueOf(s).Elem().FieldByName("readPool")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.Pool]() {
		return errNoBuffers
	}
	pool := (*sync.Pool)(field.Addr().UnsafePointer())
	if _, ok := pool.Get().([]byte); !ok { // the one by which the server was told of the mount
		return errNoBuffers
	}
	untouched := pool.New
	pool.New = func() any {
		b := untouched()
		touch(b.([]byte))
		return b
	}
	return nil
}

// touch writes to each page of b.
func touch(b []byte) {
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 0
	}
	b[len(b)-1] = 0
}
