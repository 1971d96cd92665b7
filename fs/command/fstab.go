package command

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// ignored are the mount options that are not for a file system to act on, or
// that hold for every mount of glancefs anyway: its files are never executable,
// and the kernel takes no devices and no set-user-id bits from it.
var ignored = []string{
	"defaults", "rw", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev", "_rnetdev",
	"dev", "nodev", "suid", "nosuid", "exec", "noexec", "default_permissions",
	"async", "sync", "dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
	"nostrictatime", "lazytime", "nolazytime", "mand", "nomand", "silent", "loud",
}

// ignoredPrefixes begin the options that others leave in fstab for themselves.
var ignoredPrefixes = []string{"x-", "X-", "comment=", "helper=", "uhelper="}

// calledByMount reports whether args are as mount(8) or mount.fuse3(8) give
// them: to a mount.TYPE, or to "glancefs SPEC DIR -o OPTIONS".
func calledByMount(args []string) bool {
	if len(args) > 0 && strings.HasPrefix(filepath.Base(args[0]), "mount.") {
		return true
	}
	return len(args) == 5 && args[3] == "-o"
}

// A mountLine is what mount(8) asks for.
type mountLine struct {
	spec, dir string
	options   []string
	sloppy    bool // options that are not known are no error
	fake      bool // everything but the mount is to be done
}

// parseMountLine reads "SPEC DIR [-sfnv] [-o OPTIONS] [-t TYPE]", in any order.
func parseMountLine(args []string) (l mountLine, err error) {
	var names []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			names = append(names, arg)
			continue
		}
		if arg == "-o" || arg == "-t" {
			if len(args) == 0 {
				return l, fmt.Errorf("%s needs a value", arg)
			}
			if arg == "-o" {
				l.options = append(l.options, strings.Split(args[0], ",")...)
			}
			args = args[1:]
			continue
		}
		if rest := strings.Trim(arg[1:], "sfnv"); rest != "" {
			return l, fmt.Errorf("flag %s is not known; mount takes SPEC DIR [-sfnv] [-o OPTIONS]", arg)
		}
		l.sloppy = l.sloppy || strings.Contains(arg, "s")
		l.fake = l.fake || strings.Contains(arg, "f")
	}
	if len(names) != 2 {
		return l, fmt.Errorf("mount takes SPEC DIR [-sfnv] [-o OPTIONS], not %q", names)
	}
	l.spec, l.dir = names[0], names[1]
	return l, nil
}

// arguments turns l into a command line of glancefs, nil for nothing to do.
func (l mountLine) arguments(flags []cli.Flag) ([]string, error) {
	args := []string{"mount", "--" + backgroundFlag, "--fsname=" + l.spec}
	var unknown []string
	named := false // what to mount, by an option
	for _, option := range l.options {
		if ignorable(option) {
			continue
		}
		f := flagOf(flags, option)
		if f == nil {
			unknown = append(unknown, option)
			continue
		}
		name := f.Names()[0]
		arg, err := argument(f, name, option)
		if err != nil {
			return nil, err
		}
		named = named || name == "endpoint" || name == "os-cloud"
		args = append(args, arg)
	}
	if len(unknown) > 0 && !l.sloppy {
		return nil, fmt.Errorf("unknown mount options: %s", strings.Join(unknown, ", "))
	}
	if l.fake {
		return nil, nil
	}
	if !named {
		args = append(args, l.target()...)
	}
	return append(args, "--", l.dir), nil
}

// argument is the flag that an option is.
func argument(f cli.Flag, name, option string) (string, error) {
	_, value, given := strings.Cut(option, "=")
	_, plain := f.(*cli.BoolFlag)
	switch {
	case plain && given:
		return "", fmt.Errorf("mount option %s takes no value", option)
	case plain:
		return "--" + name, nil
	case !given:
		return "", fmt.Errorf("mount option %s needs a value", option)
	}
	return "--" + name + "=" + value, nil
}

// target is the flag for what SPEC names: glancefs#CLOUD, glancefs#URL, or the
// same without "glancefs#". A name that says nothing leaves it to the
// environment.
func (l mountLine) target() []string {
	switch name := strings.TrimPrefix(l.spec, "glancefs#"); {
	case name == "" || name == "glancefs" || name == "none":
		return nil
	case strings.Contains(name, "://"):
		return []string{"--endpoint=" + name}
	default:
		return []string{"--os-cloud=" + name}
	}
}

func ignorable(option string) bool {
	return option == "" || slices.Contains(ignored, option) ||
		slices.ContainsFunc(ignoredPrefixes, func(p string) bool { return strings.HasPrefix(option, p) })
}

// flagOf finds the flag that an option is: the one of that name with - for _, or
// nil.
func flagOf(flags []cli.Flag, option string) cli.Flag {
	name, _, _ := strings.Cut(option, "=")
	if name = strings.ReplaceAll(name, "_", "-"); name == "ro" {
		name = "read-only"
	}
	for _, f := range flags {
		if f.Names()[0] == name && name != backgroundFlag && name != detachFlag {
			return f
		}
	}
	return nil
}
