package command

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"
)

// wrongFlag says in one line what is wrong with a flag, which has one dash in what
// package flag says of it, and no word on what would be right.
func wrongFlag(c *cli.Context, err error, _ bool) error {
	said := err.Error()
	if m := regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^ ]+): `).FindStringSubmatch(said); m != nil {
		return fmt.Errorf("--%s: %s is not %s", m[2], m[1], valuesOf(c, m[2]))
	}
	if m := regexp.MustCompile(`^flag provided but not defined: -(.*)$`).FindStringSubmatch(said); m != nil {
		return fmt.Errorf("no such flag: --%s", m[1])
	}
	if m := regexp.MustCompile(`^flag needs an argument: -(.*)$`).FindStringSubmatch(said); m != nil {
		return fmt.Errorf("--%s needs a value", m[1])
	}
	return err
}

// valuesOf says what a flag takes.
func valuesOf(c *cli.Context, name string) string {
	i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if i >= 0 {
		switch c.Command.Flags[i].(type) {
		case *cli.DurationFlag:
			return "a time such as 10s, 5m or 1h"
		case *cli.UintFlag:
			return "a number from 0 to 4294967295"
		case *cli.BoolFlag:
			return "true or false"
		}
	}
	return "a value of it"
}
