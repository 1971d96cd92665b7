package command

import (
	"context"
	"errors"
	iofs "io/fs"

	"github.com/urfave/cli/v2"

	"glancefs/fs"
	"glancefs/fs/catalog"
	"glancefs/glanceapi"
)

// reachService finds the image service, and what an earlier mount of the account
// knew of it. An heir does not wait for it: the mount goes on, whether it answers or not.
func (m *mounted) reachService(ctx context.Context, c *cli.Context, s settings, name string, heir bool) (*catalog.State, error) {
	state, err := fs.LoadState(s.cacheDir, name)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		m.log.Warn("what an earlier mount knew is lost", "err", err)
	}
	a := &account{glanceapi.Config{
		Endpoint: c.String("endpoint"), Cloud: c.String("os-cloud"), APIVersion: c.String("api-version"),
		CACert: c.String("os-cacert"), Timeout: c.Duration("timeout"), Log: m.log,
	}, newEnvFile(c.String("env-file"))}
	if heir {
		m.service = &service{account: a, log: m.log}
		if state != nil {
			m.service.endpoint, m.service.version = state.Endpoint, state.Version
		}
		return state, nil
	}
	m.service, err = connect(ctx, a, state)
	switch {
	case errors.Is(err, iofs.ErrPermission):
		return nil, failure{err, exitUsage}
	case err != nil:
		return nil, failure{err, exitMount}
	}
	return state, nil
}

// recallService has an heir that has no state know its service by what the process
// before has left in memory.
func (m *mounted) recallService(ctx context.Context, kept *fs.Kept) (err error) {
	if m.service.endpoint != "" {
		return nil
	}
	m.service.endpoint, m.service.version, err = kept.Service()
	if err == nil && m.service.endpoint == "" {
		m.service, err = connect(ctx, m.service.account, nil)
	}
	if err != nil {
		return failure{err, exitMount}
	}
	return nil
}
