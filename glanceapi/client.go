// Package glanceapi is a client of OpenStack's image service, Glance, in every
// version of its Images API from the first release of 2011 to those of today.
// HTTP, authentication, retries and what versions and releases do differently end
// here: everybody above sees [Image], [Page], [Data] and errors that match the
// ones of io/fs.
//
// A [Client] is made by [New] from an address, from clouds.yaml or from the OS_*
// environment. It lists images ([Client.Images] with a [Query]), tells of one
// ([Client.Image]), opens its data ([Client.OpenData]); it makes images
// ([Client.Create], then [Client.Upload]), changes them ([Client.Update]) and
// deletes them ([Client.Delete]); and it shares them with other projects
// ([Client.AddMember] and its neighbours).
//
// # Versions
//
// v2 is what services speak since 2012, v1 what they spoke until 2018. A field
// that a version, or a release of it, does not have is the zero value when it is
// read; what has to be written there is errors.ErrUnsupported, never left out.
// What v1 services do not understand they ignore, so everything that is written
// to one is compared with what it made of it, and a query's conditions and order
// are applied here as well.
//
// # Errors
//
// Refusals match fs.ErrNotExist, fs.ErrExist, fs.ErrPermission and fs.ErrInvalid,
// or [ErrTooLarge], [ErrConflict], [ErrProtected] and [ErrNoData]; an [Error]
// carries the service's own reason. What may go away by itself is [Temporary].
// Calls are tried again for the Config's Timeout where that can do no harm.
//
// The package caches nothing but what the service cannot do, opens streams but
// does not resume them, and decides nothing a user can see.
package glanceapi

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
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

	// APIVersion is "v1", "v2", or "auto" or "" for the newest that the service
	// has.
	APIVersion string
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
	// check fails unless the service lists images, for the token it is sent.
	check(ctx context.Context) error
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
	// others tells why an answer, which should have the image's data, has none; ""
	// if it may have. Proxies, too, answer 200.
	others(resp *http.Response, id string) (why string)
}

type writer interface {
	takesUUIDs() bool
	create(ctx context.Context, n NewImage) (Image, error)
	// upload returns the request that fills an image, without its body.
	upload(ctx context.Context, id string, size int64, o UploadOptions) (call, error)
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

// Check says what New would refuse whatever the service is like.
func (c Config) Check() error {
	if _, err := c.apiVersion(); err != nil {
		return err
	}
	if c.Endpoint == "" {
		return nil
	}
	if _, _, err := splitEndpoint(c.Endpoint); err != nil {
		return fmt.Errorf("the image service's endpoint: %w", err)
	}
	return nil
}

func (c *Config) apiVersion() (string, error) {
	switch c.APIVersion {
	case "", "auto":
		return "", nil
	case "v1", "v2":
		return c.APIVersion, nil
	}
	return "", invalid("API version %.80q is none of auto, v1 and v2", c.APIVersion)
}

// startBudget is how long New tries again, so that a service that is down makes
// a mount fail while its user still looks at it.
const startBudget = 3 * time.Second

// New authenticates, finds the endpoint and the version of its API. What fails
// at once, such as a refused connection, is tried again for three seconds; a
// host that does not answer is given up after ten, a slow service after thirty.
func New(ctx context.Context, c Config) (*Client, error) {
	return open(ctx, c, new(counters), newSeekMemory())
}

// Reopen is New, for a client that goes on with c's counters and with what c has
// learned: credentials and certificates are read anew. Calls and streams of c go
// on as they are.
func (c *Client) Reopen(ctx context.Context, with Config) (*Client, error) {
	return open(ctx, with, c.conn.count, c.seek)
}

func open(ctx context.Context, c Config, count *counters, seek *seekMemory) (*Client, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	want, err := c.apiVersion()
	if err != nil {
		return nil, err
	}
	a, err := findAccount(c)
	if err != nil {
		return nil, err
	}
	if a.tls.InsecureSkipVerify {
		c.Log.Warn("certificates are not verified, as clouds.yaml demands")
	}
	n := &conn{http: newHTTPClient(a.tls), upload: newUploadClient(a.tls), timeout: c.Timeout, log: c.Log, count: count}
	api, err := n.connect(ctx, a, want)
	if err != nil {
		n.close()
		return nil, err
	}
	return &Client{conn: n, api: api, seek: seek}, nil
}

// connect logs in and readies c for requests in the dialect it returns.
func (c *conn) connect(ctx context.Context, a account, version string) (dialect, error) {
	if err := c.login(ctx, a); err != nil {
		return nil, err
	}
	return discover(ctx, c, version)
}

// Close gives up idle connections. Running calls and open streams go on.
func (c *Client) Close() { c.conn.close() }

// Endpoint returns the service's address without a version and without a slash
// at the end, such as http://127.0.0.1:9292. It identifies the cloud.
func (c *Client) Endpoint() string { return c.conn.base }

// Version returns the version of the API in use, such as "v2".
func (c *Client) Version() string { return c.api.version() }

// TakesUUIDs tells whether an image may be created under any UUID of the caller's
// choice. Of a v1 service that is not known before it has told of an image: those of
// 2011 have numbers.
func (c *Client) TakesUUIDs() bool { return c.api.takesUUIDs() }

// TokenExpires is when the token that is in use ends; zero if that is not known. A
// token that has ended is replaced by itself where it can be.
func (c *Client) TokenExpires() time.Time { return c.conn.auth.expires() }

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
