// Package glanceapi asks an OpenStack image service about images and opens
// their data. HTTP, authentication, retries and the differences between the
// versions of the API end here: everybody above sees [Image], [Page], [Data]
// and errors that match the ones of io/fs.
//
// It caches nothing but what the service cannot do, opens streams but does not
// resume them, and decides nothing a user can see.
package glanceapi

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"
)

// Config says where the image service is and who asks.
type Config struct {
	Endpoint string        // an image endpoint without Keystone; "" finds one through Keystone
	Token    string        // sent to Endpoint as X-Auth-Token; "" sends none
	Cloud    string        // entry of clouds.yaml; "" takes OS_CLOUD, else the OS_* environment
	CACert   string        // PEM file of further trusted roots; "" takes OS_CACERT
	Timeout  time.Duration // how long one metadata call may take with its retries, and an upload stand still; 0 for no limit
	Log      *slog.Logger  // nil for none
}

// A Client is one user's view of one image service. It is safe for use by
// several goroutines.
type Client struct {
	conn *conn
	api  dialect
	seek *seekMemory
}

// A dialect is one version of the API: it knows paths and the shape of requests
// and answers. Whatever is the same for all versions is done by conn and Client.
type dialect interface {
	version() string
	reader
	writer
	memberReader
	memberWriter
}

type reader interface {
	image(ctx context.Context, id string) (Image, error)
	// page returns one page of images behind marker, "" for the first, and the
	// marker of the page after it, "" if there is none. Images with ids that
	// are not fit for use may be among them. An error that wraps errMarkerLost
	// says that the service no longer knows marker.
	page(ctx context.Context, q Query, marker string) (Page, string, error)
	// sorts tells whether the pages of q are in the order it wants.
	sorts(q Query) bool
	// data returns where an image's bytes are, and whether asking for a part
	// of them may work.
	data(id string) (path string, seekable bool)
}

type writer interface {
	create(ctx context.Context, n NewImage) (Image, error)
	// upload returns the request that fills an image, without its body.
	upload(ctx context.Context, id string, o UploadOptions) (call, error)
	update(ctx context.Context, id string, ch Change) (Image, error)
	remove(ctx context.Context, id string) error
}

type memberReader interface {
	members(ctx context.Context, id string) ([]Member, error)
	memberImages(ctx context.Context, project string) ([]MemberImage, error)
}

type memberWriter interface {
	addMember(ctx context.Context, id string, m Member) error
	setMember(ctx context.Context, id string, m Member) error
	removeMember(ctx context.Context, id, project string) error
	replaceMembers(ctx context.Context, id string, all []Member) error
}

// startBudget is how long New tries again, so that a service that is down makes
// a mount fail while its user still looks at it.
const startBudget = 3 * time.Second

// New authenticates, finds the endpoint and the version of its API. What fails
// at once, such as a refused connection, is tried again for three seconds; a
// host that does not answer is given up after ten, a slow service after thirty.
func New(ctx context.Context, c Config) (*Client, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a, err := findAccount(c)
	if err != nil {
		return nil, err
	}
	if a.tls.InsecureSkipVerify {
		c.Log.Warn("certificates are not verified, as clouds.yaml demands")
	}
	n := &conn{http: newHTTPClient(a.tls), upload: newUploadClient(a.tls), timeout: c.Timeout, log: c.Log}
	api, err := n.connect(ctx, a)
	if err != nil {
		n.close()
		return nil, err
	}
	return &Client{conn: n, api: api, seek: newSeekMemory()}, nil
}

// connect logs in and readies c for requests in the dialect it returns.
func (c *conn) connect(ctx context.Context, a account) (dialect, error) {
	if err := c.login(ctx, a); err != nil {
		return nil, err
	}
	return discover(ctx, c)
}

// Close gives up idle connections. Running calls and open streams go on.
func (c *Client) Close() { c.conn.close() }

// Endpoint returns the service's address without a version and without a slash
// at the end, such as http://127.0.0.1:9292. It identifies the cloud.
func (c *Client) Endpoint() string { return c.conn.base }

// Version returns the version of the API in use, such as "v2".
func (c *Client) Version() string { return c.api.version() }

// Stats returns the counters as they stand.
func (c *Client) Stats() Stats { return c.conn.count.snapshot() }

// Image returns one image, listed or not. An id that no image may have is
// fs.ErrNotExist without a request.
func (c *Client) Image(ctx context.Context, id string) (Image, error) {
	if !validID(id) {
		return Image{}, fmt.Errorf("image %q: %w", id, fs.ErrNotExist)
	}
	i, err := c.api.image(ctx, id)
	if err != nil {
		return Image{}, err
	}
	if strings.EqualFold(i.ID, id) && i.ID != id {
		// Some databases compare ids without case; paths here do not.
		return Image{}, fmt.Errorf("image %s, not %s: %w", i.ID, id, fs.ErrNotExist)
	}
	if i.ID != id {
		return Image{}, &Error{Op: "image " + id, Message: fmt.Sprintf("the service answered with image %q", i.ID)}
	}
	return i, nil
}
