package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"glancefs/cache"
	"glancefs/fs"
	"glancefs/fs/mounts"
	"glancefs/glanceapi"
)

func mountCommand() *cli.Command {
	return &cli.Command{
		Name: "mount", Usage: "mount the image service, in the foreground, until SIGTERM or SIGINT", ArgsUsage: "MOUNTPOINT",
		Description: "The service is found through Keystone with --os-cloud or the usual OS_* variables,\n" +
			"or is the one at --endpoint, which is sent the token of OS_TOKEN if that is set.",
		Flags: mountFlags(),
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			switch {
			case err != nil:
				return err
			case c.Bool(backgroundFlag) && !c.Bool(detachFlag):
				return background(c, dir)
			case os.Geteuid() == 0:
				return keepMount(c, dir)
			}
			return serveMount(c, dir, nil)
		},
	}
}

// mountFlags are those of a mount, and of each process that serves it.
func mountFlags() []cli.Flag {
	env := func(flag string) []string {
		return []string{"GLANCEFS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
	}
	text := func(name, value, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Value: value, Usage: usage, EnvVars: env(name)}
	}
	yes := func(name, usage string) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, EnvVars: env(name)}
	}
	span := func(name string, value time.Duration, usage string) cli.Flag {
		return &cli.DurationFlag{Name: name, Value: value, Usage: usage, EnvVars: env(name)}
	}
	id := func(name string, value int, usage string) cli.Flag {
		return &cli.UintFlag{Name: name, Value: uint(value), Usage: usage, EnvVars: env(name), DefaultText: "the caller's"}
	}
	return []cli.Flag{
		text("endpoint", "", "`URL` of an image service to use without Keystone"),
		text("os-cloud", "", "`NAME` of the cloud in clouds.yaml"),
		text("env-file", "", "`FILE` of OS_* variables, read anew on SIGHUP; given as -FILE it may be missing"),
		text("api-version", "auto", "of the Images API: v1, v2, or auto for the newest that the service has"),
		text("os-cacert", "", "PEM `FILE` of certificates to trust besides the system's"),
		cacheDirFlag("`DIR` of this mount's own for image bytes"),
		text("cache-size", "50%", "`SIZE` the cache may reach: bytes, KiB, MiB, GiB, TiB or a % of its file system"),
		span("refresh", 10*time.Second, "how stale a listing may be"),
		span("timeout", time.Minute, "how long a reader waits for a service that does not answer; 0 for ever"),
		text("verify", "lazy", "lazy, or strict: no byte of an image is readable before all of it is\n\tfetched and matches its checksum"),
		yes("read-only", "refuse all changes"),
		yes("allow-delete", "let rmdir delete images, and rm members"),
		yes("allow-other", "let other users, such as the one qemu runs as, use the mount"),
		id("uid", os.Getuid(), "owner of the files"),
		id("gid", os.Getgid(), "group of the files"),
		text("metrics", "", "`ADDRESS`, such as 127.0.0.1:9293, for /metrics, /healthz and, on a loopback address, /debug/pprof"),
		text("log-level", "info", "debug, info, warn or error"),
		text("log-format", "text", "text or json"),
		text("fsname", "glancefs", "`NAME` that findmnt and df show as the source"),
		yes(backgroundFlag, "return when the mount can be used, and log to syslog from then on"),
		&cli.BoolFlag{Name: detachFlag, Hidden: true},
	}
}

// serveMount serves a mount, once it is this process's turn, until it ends.
func serveMount(c *cli.Context, dir string, t *turn) error {
	// From the start, or it would end a process that does not serve yet.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	log, err := newLogger(c)
	if err != nil {
		return err
	}
	takeStrays(log)
	m, err := mount(c.Context, c, dir, log, t)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := t.ready(c, m); err != nil {
		return failure{errors.Join(err, m.Unmount()), exitSystem}
	}
	t.listen(c.Context, m)
	if t.isHeir() {
		go m.service.find(c.Context) // sooner than somebody needs it
	}
	return m.serve(c.Context, t, hangups)
}

// A mounted is a mount and what is behind it.
type mounted struct {
	*fs.Mount
	dir     string
	service *service
	store   *cache.Store
	metrics net.Listener // nil for none
	log     *slog.Logger
}

// settings are the flags of a mount that were checked.
type settings struct {
	dir, cacheDir string
	cacheSize     int64
	uid, gid      uint32
	strict        bool
}

// newSettings checks the flags of c.
func newSettings(c *cli.Context, dir string) (s settings, err error) {
	if s.dir, err = filepath.Abs(dir); err != nil {
		return s, failure{err, exitSystem}
	}
	if s.cacheDir, err = cacheDir(c); err != nil {
		return s, err
	}
	if s.cacheDir, err = filepath.Abs(s.cacheDir); err != nil {
		return s, failure{err, exitSystem}
	}
	if info, err := os.Stat(s.cacheDir); err == nil && !info.IsDir() {
		return s, fmt.Errorf("--cache-dir: %s is no directory", s.cacheDir)
	}
	if err := (glanceapi.Config{Endpoint: c.String("endpoint"), APIVersion: c.String("api-version")}).Check(); err != nil {
		return s, err
	}
	if s.cacheSize, err = cache.ParseSize(c.String("cache-size"), s.cacheDir); err != nil {
		return s, fmt.Errorf("--cache-size: %w", err)
	}
	uid, gid := c.Uint("uid"), c.Uint("gid")
	if uid >= math.MaxUint32 || gid >= math.MaxUint32 { // the largest is nobody at all
		return s, fmt.Errorf("--uid, --gid: %d, %d: no such user or group", uid, gid)
	}
	s.uid, s.gid = uint32(uid), uint32(gid)
	if c.Duration("refresh") < 0 || c.Duration("timeout") < 0 {
		return s, errors.New("--refresh, --timeout: no negative durations")
	}
	verify := c.String("verify")
	if verify != "lazy" && verify != "strict" {
		return s, fmt.Errorf("--verify: %q is neither lazy nor strict", verify)
	}
	s.strict = verify == "strict"
	return s, nil
}

// mount brings up what the flags of c describe, the cheapest refusals first. What
// two processes cannot have at the same time an heir takes when it is its turn; all
// else is there by then.
func mount(ctx context.Context, c *cli.Context, dir string, log *slog.Logger, t *turn) (_ *mounted, err error) {
	m := &mounted{log: log}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if !t.isHeir() {
		if err := m.claim(c, dir); err != nil {
			return nil, err
		}
	}
	s, err := newSettings(c, dir)
	if err != nil {
		return nil, err
	}
	if !t.isHeir() { // who takes over goes on with what was taken before
		if isIn(s.dir, s.cacheDir) {
			return nil, fmt.Errorf("--cache-dir: %s is in the mountpoint", s.cacheDir)
		}
		if c.String("endpoint") != "" && c.String("os-cloud") != "" {
			return nil, errors.New("--endpoint, --os-cloud: each names an image service; give one of them")
		}
	}
	m.dir = s.dir
	name := accountName(c)
	state, err := m.reachService(ctx, c, s, name, t.isHeir())
	if err != nil {
		return nil, err
	}
	if !t.isHeir() {
		err = m.openStore(c, s, false)
	} else if err = m.cacheConfig(c, s, true).Check(); err != nil {
		err = failure{err, exitMount} // before the process that has it gives it up
	}
	if err == nil {
		err = t.await()
	}
	if err == nil && t.isHeir() {
		// The mount is worth more than its metrics.
		if err := m.claim(c, ""); err != nil {
			log.Error("metrics are not served", "err", err)
		}
		if err = m.recallService(ctx, t.what()); err == nil {
			err = m.openStore(c, s, true)
		}
	}
	if err != nil {
		return nil, err
	}
	m.Mount, err = fs.New(s.dir, fs.Config{
		Service: m.service, Source: c.String("fsname"), Version: c.App.Version, Account: name, State: state,
		Kept: t.what(), Upkeep: t.begins(c.App.Version),
		Store: m.store, CacheDir: s.cacheDir, Refresh: c.Duration("refresh"), UID: s.uid, GID: s.gid,
		AllowOther: c.Bool("allow-other"), ReadOnly: c.Bool("read-only"), AllowDelete: c.Bool("allow-delete"), Strict: s.strict, Log: log,
	})
	if err != nil {
		return nil, failure{err, exitMount}
	}
	return m, nil
}

// isIn reports whether a path, of which not all need be there, leads to dir or into
// it.
func isIn(dir, path string) bool {
	top, err := os.Stat(dir)
	for err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, top) {
			return true
		}
		if path == filepath.Dir(path) {
			break
		}
		path = filepath.Dir(path)
	}
	return false
}

// claim takes the mountpoint, unless it is "", and the address for metrics.
func (m *mounted) claim(c *cli.Context, dir string) (err error) {
	if dir != "" {
		if err := mounts.CheckFree(dir); err != nil {
			return failure{err, exitMount}
		}
	}
	if m.metrics, err = listenMetrics(c.String("metrics"), m.log); err != nil {
		return failure{err, exitMount}
	}
	return nil
}

// cacheConfig is that of the mount's store; an heir's has readers already.
func (m *mounted) cacheConfig(c *cli.Context, s settings, heir bool) cache.Config {
	return cache.Config{Dir: s.cacheDir, Size: s.cacheSize, Resumes: heir, Timeout: c.Duration("timeout"), Log: m.log}
}

func (m *mounted) openStore(c *cli.Context, s settings, heir bool) (err error) {
	if m.store, err = cache.Open(m.cacheConfig(c, s, heir)); err != nil {
		return failure{err, exitMount}
	}
	return nil
}
