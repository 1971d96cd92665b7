package glanceapi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// lastWords is how long an answer may take to be read after the connection has
// been closed for writing. It is on this side already, or on its way.
const lastWords = time.Second

// An uploadConn lets the answer be heard of a service that refuses in the midst of
// an upload and closes the connection behind its answer. The write that fails then
// would end the request in net/http before the answer is read, so it waits for
// that, or for somebody to close the connection.
type uploadConn struct {
	net.Conn
	once sync.Once
	over chan struct{} // closed when no more will be read
	why  error         // the reason, set before; nil if it is ours
}

// hearing makes dial's connections uploadConns.
func hearing(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &uploadConn{Conn: c, over: make(chan struct{})}, nil
	}
}

func (c *uploadConn) end(why error) {
	c.once.Do(func() {
		c.why = why
		close(c.over)
	})
}

func (c *uploadConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.end(err)
	}
	return n, err
}

// Write says how the connection has ended where it has been closed for that here.
func (c *uploadConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		select {
		case <-c.over:
			if errors.Is(err, net.ErrClosed) && c.why != nil {
				err = c.why
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
		case <-time.After(lastWords):
		}
	}
	return n, err
}

func (c *uploadConn) Close() error {
	c.end(nil)
	return c.Conn.Close()
}
