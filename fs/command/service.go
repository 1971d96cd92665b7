package command

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"glancefs/fs"
	"glancefs/glanceapi"
)

// reconnectEvery is how often a service that was down at the start is looked
// for, at most, when somebody needs it.
const reconnectEvery = 2 * time.Second

// A service is the image service, which may have been down when the mount
// started: then it is what an earlier mount knew of it, and is looked for when
// somebody needs it.
type service struct {
	config            glanceapi.Config
	endpoint, version string

	looking sync.Mutex // held while the service is looked for; taken before mu
	tried   time.Time
	err     error // of the last try

	mu     sync.Mutex
	client *glanceapi.Client // nil until the service has been reached
}

// connect reaches the service. One that is down for now is an error only
// without a state to start from.
func connect(ctx context.Context, c glanceapi.Config, state *fs.State) (*service, error) {
	client, err := glanceapi.New(ctx, c)
	if err == nil {
		return &service{endpoint: client.Endpoint(), version: client.Version(), client: client}, nil
	}
	if state == nil || !glanceapi.Temporary(err) {
		return nil, err
	}
	c.Log.Warn("the image service is down; starting with what was known of it", "err", err)
	return &service{config: c, endpoint: state.Endpoint, version: state.Version, tried: time.Now(), err: err}, nil
}

// reach returns the client, looking for the service if need be. Callers wait
// for each other, not longer than one look takes.
func (s *service) reach(ctx context.Context) (*glanceapi.Client, error) {
	if c := s.reached(); c != nil {
		return c, nil
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	if c := s.reached(); c != nil {
		return c, nil
	}
	if time.Since(s.tried) < reconnectEvery {
		return nil, s.err
	}
	client, err := glanceapi.New(ctx, s.config)
	if err == nil && client.Endpoint() != s.endpoint {
		err = fmt.Errorf("the image service has moved from %s to %s; mount again", s.endpoint, client.Endpoint())
	}
	s.tried, s.err = time.Now(), err
	if err != nil {
		return nil, err
	}
	s.config.Log.Info("the image service is reached")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.version = client, client.Version()
	return client, nil
}

func (s *service) reached() *glanceapi.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// Image asks for one image.
func (s *service) Image(ctx context.Context, id string) (glanceapi.Image, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return glanceapi.Image{}, err
	}
	return c.Image(ctx, id)
}

// Images walks images page by page.
func (s *service) Images(ctx context.Context, q glanceapi.Query) iter.Seq2[glanceapi.Page, error] {
	c, err := s.reach(ctx)
	if err != nil {
		return func(yield func(glanceapi.Page, error) bool) { yield(glanceapi.Page{}, err) }
	}
	return c.Images(ctx, q)
}

// Members asks who an image is shared with.
func (s *service) Members(ctx context.Context, id string) ([]glanceapi.Member, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	return c.Members(ctx, id)
}

// OpenData opens a stream of image data.
func (s *service) OpenData(ctx context.Context, id string, off, n, size int64) (glanceapi.Data, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return glanceapi.Data{}, err
	}
	return c.OpenData(ctx, id, off, n, size)
}

// TakesUUIDs tells whether the id of a new image may be chosen; of a service that
// has not been reached yet it is assumed, which holds for all of the last ten
// years.
func (s *service) TakesUUIDs() bool {
	c := s.reached()
	return c == nil || c.TakesUUIDs()
}

// Create makes an image without data.
func (s *service) Create(ctx context.Context, n glanceapi.NewImage) (glanceapi.Image, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return glanceapi.Image{}, err
	}
	return c.Create(ctx, n)
}

// Upload sends the data of a queued image.
func (s *service) Upload(ctx context.Context, id string, data io.ReaderAt, size int64, o glanceapi.UploadOptions) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.Upload(ctx, id, data, size, o)
}

// Update changes an image.
func (s *service) Update(ctx context.Context, id string, ch glanceapi.Change) (glanceapi.Image, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return glanceapi.Image{}, err
	}
	return c.Update(ctx, id, ch)
}

// Delete removes an image.
func (s *service) Delete(ctx context.Context, id string) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.Delete(ctx, id)
}

// Endpoint is the service's address, which identifies the cloud.
func (s *service) Endpoint() string { return s.endpoint }

// Version is the version of the API in use.
func (s *service) Version() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// Stats are the client's counters.
func (s *service) Stats() glanceapi.Stats {
	if c := s.reached(); c != nil {
		return c.Stats()
	}
	return glanceapi.Stats{}
}

// Close gives up idle connections.
func (s *service) Close() {
	if c := s.reached(); c != nil {
		c.Close()
	}
}
