package glanceapi

import (
	"context"
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

func (c *uploadConn) end() { c.once.Do(func() { close(c.over) }) }

func (c *uploadConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.end()
	}
	return n, err
}

func (c *uploadConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		select {
		case <-c.over:
		case <-time.After(lastWords):
		}
	}
	return n, err
}

func (c *uploadConn) Close() error {
	c.end()
	return c.Conn.Close()
}
