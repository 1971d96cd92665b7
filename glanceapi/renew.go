package glanceapi

import (
	"context"
	"errors"
	"time"
)

// errFresh says that the token was renewed a moment ago, in vain.
var errFresh = errors.New("the token is new")

const (
	// renewTimeout is how long Keystone may take to answer a renewal.
	renewTimeout = 30 * time.Second
	// renewPause follows a renewal that was in vain. While Keystone fails, or the
	// image service refuses every token because it cannot ask Keystone, each reader
	// would have it log us in every second, when it needs that least.
	renewPause = 3 * time.Second
)

// renew is run once for any number of callers that had the same token refused,
// and is not cut short when the first of them goes away. Within renewPause the
// next ones are told what came of it, if that was no good.
func (k *keystone) renew(ctx context.Context, old string) error {
	if k.provider.ReauthFunc == nil {
		return errFixedToken
	}
	done := k.flight.DoChan("", func() (any, error) {
		if k.token() != old {
			return nil, nil
		}
		if err := k.paused(); err != nil {
			return nil, err
		}
		k.count.Add(1)
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), renewTimeout, errSlow)
		defer cancel()
		err := k.failed(ctx, k.provider.Reauthenticate(ctx, old))
		if err != nil {
			k.rest(err)
		}
		return nil, err
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return netError(ctx, k.name(), "", context.Cause(ctx))
	}
}

func (k *keystone) inVain() { k.rest(errFresh) }

// rest begins a pause in which renewals fail with err.
func (k *keystone) rest(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause, k.outcome = time.Now().Add(renewPause), err
}

func (k *keystone) paused() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Now().Before(k.pause) {
		return k.outcome
	}
	return nil
}
