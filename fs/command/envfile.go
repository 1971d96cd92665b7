package command

import (
	"bufio"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"strings"
)

// An envFile is a file of OS_* variables, which stand before those that the
// process was started with. It is read each time an account is looked for.
type envFile struct {
	path string            // "" for none; with a - before it, it may be missing
	was  map[string]string // what the variables were that it has changed, by name
}

func newEnvFile(path string) *envFile { return &envFile{path, make(map[string]string)} }

// load sets the variables that the file has now, and no others.
func (e *envFile) load() error {
	path, optional := strings.CutPrefix(e.path, "-")
	if path == "" {
		return nil
	}
	vars, err := readEnvFile(path)
	if err != nil && !(optional && errors.Is(err, iofs.ErrNotExist)) {
		return fmt.Errorf("--env-file: %w", err)
	}
	for name, value := range e.was {
		os.Setenv(name, value)
	}
	clear(e.was)
	for name, value := range vars {
		e.was[name] = os.Getenv(name) // "" is as good as none, to all who ask
		os.Setenv(name, value)
	}
	return nil
}

// readEnvFile reads lines of NAME=VALUE, as systemd's EnvironmentFile= takes them
// and as "openstack rc" files have them: with quotes round the value or not,
// behind "export" or not. What a shell would have to work out is not. Names other
// than OS_* are for others. An error names the line and does not show it.
func readEnvFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	vars := make(map[string]string)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		line = strings.TrimSpace(strings.TrimPrefix(line, "export "))
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(name, " \t\"'$") {
			return nil, fmt.Errorf("%s: line %d is not NAME=VALUE", path, n)
		}
		if !strings.HasPrefix(name, "OS_") {
			continue
		}
		if vars[name], ok = unquoted(strings.TrimSpace(value)); !ok {
			return nil, fmt.Errorf("%s: line %d: the value of %s is not one word, or not one in quotes", path, n, name)
		}
	}
	return vars, lines.Err()
}

// unquoted takes the quotes off a value.
func unquoted(s string) (value string, ok bool) {
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if len(s) < 2 || s[len(s)-1] != s[0] {
			return "", false
		}
		inner := s[1 : len(s)-1]
		return inner, !strings.ContainsRune(inner, rune(s[0])) && (s[0] == '\'' || !strings.ContainsAny(inner, "\\$`"))
	}
	return s, !strings.ContainsAny(s, " \t\"'\\$`")
}
