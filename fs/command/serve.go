package command

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// reloadLimit is how long a reload may take.
const reloadLimit = time.Minute

// serve returns when the mount has ended: because somebody unmounted it, or
// because ctx ended and so it was. Meanwhile hangups, each a SIGHUP, have what may
// have changed read anew, systemd is told how the mount is, and so is who asks for
// metrics.
func (m *mounted) serve(ctx context.Context, t *turn, hangups <-chan os.Signal) error {
	gone := make(chan struct{})
	go func() {
		m.Wait()
		close(gone)
	}()
	systemd := newSupervisor(t, m.log)
	systemd.ready(m.status())
	p := &prober{dir: m.dir}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { systemd.watch(watching, m.status, p.answers) })
	if m.metrics != nil {
		watch.Go(func() { m.serveMetrics(watching, m.metrics, p.answers) })
	}
	defer watch.Wait()
	defer stop()
	for {
		select {
		case <-hangups:
			systemd.reloading()
			m.reload(ctx)
			systemd.ready(m.status())
			continue
		case <-gone:
			systemd.stopping()
			return nil
		case <-ctx.Done():
		}
		systemd.stopping()
		if err := m.Unmount(); err != nil {
			return failure{err, exitSystem}
		}
		return nil
	}
}

// reload reads the account anew and has everything known asked for again.
func (m *mounted) reload(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reloadLimit)
	defer cancel()
	if err := m.service.reload(ctx); err != nil {
		m.log.Error("not reloaded; the image service is asked as before", "err", err)
		return
	}
	m.Refresh(ctx)
	m.log.Info("reloaded", "endpoint", m.service.Endpoint(), "version", m.service.Version())
}

// status is a line for people.
func (m *mounted) status() string {
	line := fmt.Sprintf("%s (%s) at %s", m.service.Endpoint(), m.service.Version(), m.dir)
	if !m.Answers() {
		line += "; the image service does not answer, what is known is served"
	}
	return line
}

// Close ends what is behind an ended mount, as far as it was brought up.
func (m *mounted) Close() {
	if m.Mount != nil {
		m.Mount.Close()
	}
	if m.store != nil {
		m.store.Close()
	}
	if m.service != nil {
		m.service.Close()
	}
	if m.metrics != nil {
		m.metrics.Close()
	}
}
