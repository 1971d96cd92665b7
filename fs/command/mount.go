package command

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"glancefs/cache"
	"glancefs/fs"
	"glancefs/glanceapi"
)

func mountCommand() *cli.Command {
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
	return &cli.Command{
		Name: "mount", Usage: "mount the image service, in the foreground, until SIGTERM or SIGINT", ArgsUsage: "MOUNTPOINT",
		Description: "The service is found through Keystone with --os-cloud or the usual OS_* variables,\n" +
			"or is the one at --endpoint, which is sent the token of OS_TOKEN if that is set.",
		Flags: []cli.Flag{
			text("endpoint", "", "`URL` of an image service to use without Keystone"),
			text("os-cloud", "", "`NAME` of the cloud in clouds.yaml"),
			text("env-file", "", "`FILE` of OS_* variables, read anew on SIGHUP; with a - before it it may be missing"),
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
		},
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			if c.Bool(backgroundFlag) && !c.Bool(detachFlag) {
				return background(c, dir)
			}
			log, err := newLogger(c)
			if err != nil {
				return err
			}
			metrics, err := listenMetrics(c.String("metrics"), log)
			if err != nil {
				return failure{err, exitMount}
			}
			if metrics != nil {
				defer metrics.Close()
			}
			m, err := mount(c.Context, c, dir, log)
			if err != nil {
				return err
			}
			defer m.Close()
			if c.Bool(detachFlag) {
				if err := detach(); err != nil {
					return failure{err, exitSystem}
				}
			}
			fmt.Fprintf(c.App.ErrWriter, "%s%s shows %s (%s)\n", readyLine, dir, m.service.Endpoint(), m.service.Version())
			return m.serve(c.Context, metrics)
		},
	}
}

func cacheDirFlag(usage string) cli.Flag {
	return &cli.StringFlag{
		Name: "cache-dir", Value: defaultCacheDir(), DefaultText: "/var/cache/glancefs, for users ~/.cache/glancefs",
		Usage: usage, EnvVars: []string{"GLANCEFS_CACHE_DIR"},
	}
}

func defaultCacheDir() string {
	if os.Getuid() == 0 {
		return "/var/cache/glancefs"
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "glancefs")
}

// A mounted is a mount and what is behind it.
type mounted struct {
	*fs.Mount
	dir     string
	service *service
	store   *cache.Store
	log     *slog.Logger
}

// mount brings up what the flags of c describe, the cheapest refusals first.
func mount(ctx context.Context, c *cli.Context, dir string, log *slog.Logger) (*mounted, error) {
	if err := fs.CheckMountpoint(dir); err != nil {
		return nil, failure{err, exitMount}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, failure{err, exitSystem}
	}
	cacheDir, err := filepath.Abs(c.String("cache-dir"))
	if err != nil {
		return nil, failure{err, exitSystem}
	}
	size, err := cache.ParseSize(c.String("cache-size"), cacheDir)
	if err != nil {
		return nil, fmt.Errorf("--cache-size: %w", err)
	}
	uid, gid := c.Uint("uid"), c.Uint("gid")
	if uid > math.MaxUint32 || gid > math.MaxUint32 {
		return nil, fmt.Errorf("--uid, --gid: %d, %d: no such user or group", uid, gid)
	}
	if c.Duration("refresh") < 0 || c.Duration("timeout") < 0 {
		return nil, errors.New("--refresh, --timeout: no negative durations")
	}
	verify := c.String("verify")
	if verify != "lazy" && verify != "strict" {
		return nil, fmt.Errorf("--verify: %q is neither lazy nor strict", verify)
	}
	env := newEnvFile(c.String("env-file"))
	if err := env.load(); err != nil {
		return nil, failure{err, exitMount}
	}
	name := accountName(c)
	state, stateErr := fs.LoadState(cacheDir, name)
	service, err := connect(ctx, &account{glanceapi.Config{
		Endpoint: c.String("endpoint"), Cloud: c.String("os-cloud"), APIVersion: c.String("api-version"),
		CACert: c.String("os-cacert"), Timeout: c.Duration("timeout"), Log: log,
	}, env}, state)
	if errors.Is(err, iofs.ErrPermission) {
		return nil, failure{err, exitUsage}
	}
	if err != nil {
		return nil, failure{err, exitMount}
	}
	if stateErr != nil && !errors.Is(stateErr, iofs.ErrNotExist) {
		log.Warn("what an earlier mount knew is lost", "err", stateErr)
	}
	store, err := cache.Open(cache.Config{Dir: cacheDir, Size: size, Timeout: c.Duration("timeout"), Log: log})
	if err != nil {
		return nil, failure{err, exitMount}
	}
	m, err := fs.New(dir, fs.Config{
		Service: service, Source: c.String("fsname"), Version: c.App.Version, Account: name, State: state,
		Store: store, CacheDir: cacheDir, Refresh: c.Duration("refresh"), UID: uint32(uid), GID: uint32(gid),
		AllowOther: c.Bool("allow-other"), ReadOnly: c.Bool("read-only"), Delete: c.Bool("allow-delete"), Strict: verify == "strict", Log: log,
	})
	if err != nil {
		store.Close()
		return nil, failure{err, exitMount}
	}
	return &mounted{m, dir, service, store, log}, nil
}

func umountCommand() *cli.Command {
	return &cli.Command{
		Name: "umount", Usage: "end a mount, also one whose glancefs has died", ArgsUsage: "MOUNTPOINT",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "lazy", Usage: "take it from its path although files there are in use"}},
		Action: func(c *cli.Context) error {
			dir, err := one(c, "MOUNTPOINT")
			if err != nil {
				return err
			}
			if err := fs.Unmount(dir, c.Bool("lazy")); err != nil {
				return failure{err, exitSystem}
			}
			return nil
		},
	}
}
