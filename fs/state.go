package fs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"glancefs/cache"
	"glancefs/fs/catalog"
	"glancefs/fs/disk"
)

const (
	stateFile = "catalog.json"
	// saveEvery is how often what has become known is saved, if anything has, and
	// if that takes no more than one part in saveShare of the time.
	saveEvery = 5 * time.Second
	saveShare = 50
)

// LoadState reads the state beside the cache in dir: what an earlier mount knew of the
// service's images. With it a mount can start, and serve what is cached, while the
// service is down. It fails with io/fs.ErrNotExist when there is none, or when it is of
// another account or format.
func LoadState(dir, account string) (*catalog.State, error) {
	f, err := cache.OpenPrivate(filepath.Join(dir, stateFile), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := catalog.ReadState(f, account)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", stateFile, err)
	}
	return s, nil
}

// keepState saves the catalog whenever it has changed, until ctx ends.
func (t *tree) keepState(ctx context.Context, account string) {
	wait := time.Duration(0) // who follows this process wants it to be there
	saved, failed := -1, false
	for more := true; more; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			more = false
		}
		changes := t.catalog.Changes()
		if changes == saved {
			continue
		}
		start := time.Now()
		s := catalog.State{Account: account, Endpoint: t.service.Endpoint(), Version: t.service.Version()}
		err := disk.Replace(filepath.Join(t.cacheDir, stateFile), false, func(w io.Writer) error { return t.catalog.Save(w, s) })
		wait = max(saveEvery, saveShare*time.Since(start))
		if err != nil && !failed {
			t.log.Warn("what is known of the images is not saved", "err", err)
		}
		if failed = err != nil; !failed {
			saved = changes
		}
	}
}
