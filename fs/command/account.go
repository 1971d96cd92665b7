package command

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"glancefs/glanceapi"
)

// An account is where the image service is and who asks it, as the flags and the
// environment say: some of that may change while the mount lasts.
type account struct {
	flags glanceapi.Config
	env   *envFile
}

// config is the account as it is now.
func (a *account) config() (glanceapi.Config, error) {
	if err := a.env.load(); err != nil {
		return glanceapi.Config{}, err
	}
	c := a.flags
	c.Token = os.Getenv("OS_TOKEN")
	return c, nil
}

// open makes a client of the account, in the place of old if there is one.
func (a *account) open(ctx context.Context, old *glanceapi.Client) (*glanceapi.Client, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if old != nil {
		return old.Reopen(ctx, c)
	}
	return glanceapi.New(ctx, c)
}

// accountName says whose view of which service the flags of c and the
// environment are of, without asking anybody.
func accountName(c *cli.Context) string {
	if e := c.String("endpoint"); e != "" {
		return e
	}
	account := "cloud " + cmp.Or(c.String("os-cloud"), os.Getenv("OS_CLOUD"))
	for _, name := range []string{"OS_AUTH_URL", "OS_REGION_NAME", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_USER_ID", "OS_USERNAME", "OS_APPLICATION_CREDENTIAL_ID"} {
		account += " " + os.Getenv(name)
	}
	return account
}

// reload looks for the service once more with the account as it is now. A service
// that cannot be reached that way is asked as before.
func (s *service) reload(ctx context.Context) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	old := s.reached()
	client, err := s.open(ctx, old)
	if err != nil {
		return err
	}
	if old != nil {
		old.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.version = client, client.Version()
	return nil
}

// open makes a client of the account, which must lead to the same service as
// ever. Called with looking held.
func (s *service) open(ctx context.Context, old *glanceapi.Client) (*glanceapi.Client, error) {
	client, err := s.account.open(ctx, old)
	if err == nil && client.Endpoint() != s.endpoint {
		client.Close()
		err = fmt.Errorf("the image service has moved from %s to %s; mount again", s.endpoint, client.Endpoint())
	}
	return client, err
}
