package command

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"sync"
	"time"

	"glancefs/fs/catalog"
	"glancefs/glanceapi"
)

// reconnectEvery is how often a service that was down at the start is looked
// for, at most, when somebody needs it.
const reconnectEvery = 2 * time.Second

// A service is the image service, which may have been down when the mount
// started: then it is what an earlier mount knew of it, and is looked for when
// somebody needs it.
type service struct {
	account  *account
	log      *slog.Logger
	endpoint string

	looking sync.Mutex // held while the service is looked for; taken before mu
	tried   time.Time
	err     error // of the last try

	mu      sync.Mutex
	version string
	client  *glanceapi.Client // nil until the service has been reached
}

// connect reaches the service. One that is down for now is an error only
// without a state to start from.
func connect(ctx context.Context, a *account, state *catalog.State) (*service, error) {
	s := &service{account: a, log: a.flags.Log}
	client, err := a.open(ctx, nil)
	if err == nil {
		s.endpoint, s.version, s.client = client.Endpoint(), client.Version(), client
		return s, nil
	}
	if state == nil || !glanceapi.Temporary(err) {
		return nil, err
	}
	s.log.Warn("the image service is down; starting with what was known of it", "err", err)
	s.endpoint, s.version, s.tried, s.err = state.Endpoint, state.Version, time.Now(), err
	return s, nil
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
	client, err := s.open(ctx, nil)
	if err != nil && ctx.Err() != nil {
		return nil, err // which says something of who asked, and nothing of the service
	}
	if answer := (*glanceapi.Error)(nil); err != nil && !errors.As(err, &answer) {
		err = glanceapi.Unasked(err)
	}
	s.tried, s.err = time.Now(), err
	if err != nil {
		return nil, err
	}
	s.log.Info("the image service is reached")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.version = client, client.Version()
	return client, nil
}

// find looks for a service that was not looked for at the start, and tells if it is
// not to be had.
func (s *service) find(ctx context.Context) {
	if _, err := s.reach(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("the image service is not reached; what is known of it is served", "err", err)
	}
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

// MemberImages asks which images are shared with a project.
func (s *service) MemberImages(ctx context.Context, project string) ([]glanceapi.MemberImage, error) {
	c, err := s.reach(ctx)
	if err != nil {
		return nil, err
	}
	return c.MemberImages(ctx, project)
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
// has not been reached yet it is assumed if it spoke v2.
func (s *service) TakesUUIDs() bool {
	if c := s.reached(); c != nil {
		return c.TakesUUIDs()
	}
	return s.Version() != "v1"
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

// AddMember shares an image with a project.
func (s *service) AddMember(ctx context.Context, id string, m glanceapi.Member) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.AddMember(ctx, id, m)
}

// SetMember changes how an image is shared with a project.
func (s *service) SetMember(ctx context.Context, id string, m glanceapi.Member) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.SetMember(ctx, id, m)
}

// RemoveMember ends the sharing of an image with a project.
func (s *service) RemoveMember(ctx context.Context, id, project string) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.RemoveMember(ctx, id, project)
}

// ReplaceMembers shares an image with these projects and no others.
func (s *service) ReplaceMembers(ctx context.Context, id string, all []glanceapi.Member) error {
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	return c.ReplaceMembers(ctx, id, all)
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

// TokenExpires is when the token in use ends, zero if that is not known.
func (s *service) TokenExpires() time.Time {
	if c := s.reached(); c != nil {
		return c.TokenExpires()
	}
	return time.Time{}
}

// Close gives up idle connections.
func (s *service) Close() {
	if c := s.reached(); c != nil {
		c.Close()
	}
}
