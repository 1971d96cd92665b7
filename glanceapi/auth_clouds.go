package glanceapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"gopkg.in/yaml.v2"
)

// A cloudEntry is what of an entry of clouds.yaml gophercloud does not read.
type cloudEntry struct {
	Auth *struct {
		Endpoint string `yaml:"endpoint"`
		Token    string `yaml:"token"`
	} `yaml:"auth"`
	AuthType      string `yaml:"auth_type"`
	ImageEndpoint string `yaml:"image_endpoint_override"`
	CACert        string `yaml:"cacert"`
	Verify        *bool  `yaml:"verify"`
	Cert          string `yaml:"cert"`
	Key           string `yaml:"key"`
}

// accountFromClouds reads the entry of that name in clouds.yaml, merged with
// secure.yaml beside it. cacert, if not "", stands before the entry's own.
func accountFromClouds(cloud, cacert string) (account, error) {
	file, err := findClouds(os.Getenv)
	if err != nil {
		return account{}, err
	}
	entry, err := readCloud(file, cloud)
	if err != nil {
		return account{}, err
	}
	switch entry.AuthType {
	case "none", "admin_token":
		return entry.withoutKeystone(cacert)
	}
	if entry.Auth == nil {
		return account{}, fmt.Errorf("cloud %s: it has no auth section in %s", cloud, file)
	}
	options := []clouds.ParseOption{clouds.WithCloudName(cloud), clouds.WithLocations(file)}
	if cacert != "" {
		options = append(options, clouds.WithCACertPath(cacert))
	}
	ao, eo, tlsConfig, err := clouds.Parse(options...)
	if err != nil {
		return account{}, fmt.Errorf("cloud %s: %w", cloud, withoutValues(err))
	}
	a := account{endpoint: entry.ImageEndpoint, region: eo.Region, side: string(eo.Availability), tls: tlsConfig}
	if err := a.setKeystone(ao, entry.AuthType); err != nil {
		return account{}, fmt.Errorf("cloud %s: %w", cloud, err)
	}
	return a, nil
}

// withoutKeystone makes an account of an entry that names its endpoint.
func (e cloudEntry) withoutKeystone(cacert string) (account, error) {
	a := account{endpoint: e.ImageEndpoint, fixed: true}
	if e.Auth != nil {
		if a.endpoint == "" {
			a.endpoint = e.Auth.Endpoint
		}
		if e.AuthType == "admin_token" {
			a.token = e.Auth.Token
		}
	}
	if a.endpoint == "" {
		return account{}, fmt.Errorf("auth type %s needs auth.endpoint or image_endpoint_override", e.AuthType)
	}
	for _, file := range []string{os.Getenv("OS_CACERT"), e.CACert} {
		if cacert == "" {
			cacert = file
		}
	}
	var err error
	if a.tls, err = trust(cacert); err != nil {
		return account{}, err
	}
	a.tls.InsecureSkipVerify = e.Verify != nil && !*e.Verify
	if e.Cert != "" || e.Key != "" {
		pair, err := tls.LoadX509KeyPair(e.Cert, e.Key)
		if err != nil {
			return account{}, fmt.Errorf("cert and key in clouds.yaml: %w", err)
		}
		a.tls.Certificates = []tls.Certificate{pair}
	}
	return a, nil
}

// findClouds looks for clouds.yaml where every OpenStack client does.
func findClouds(getenv func(string) string) (string, error) {
	if f := getenv("OS_CLIENT_CONFIG_FILE"); f != "" {
		return f, nil
	}
	config := getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(getenv("HOME"), ".config")
	}
	for _, dir := range []string{".", filepath.Join(config, "openstack"), "/etc/openstack"} {
		for _, name := range []string{"clouds.yaml", "clouds.yml", "clouds.json"} {
			f := filepath.Join(dir, name)
			if _, err := os.Stat(f); err == nil {
				return f, nil
			}
		}
	}
	return "", errors.New("no clouds.yaml found in ., ~/.config/openstack or /etc/openstack")
}

func readCloud(file, cloud string) (cloudEntry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return cloudEntry{}, fmt.Errorf("reading clouds.yaml: %w", err)
	}
	var doc struct {
		Clouds map[string]cloudEntry `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return cloudEntry{}, fmt.Errorf("reading %s: %w", file, withoutValues(err))
	}
	entry, ok := doc.Clouds[cloud]
	if !ok {
		return cloudEntry{}, fmt.Errorf("no cloud %q in %s", cloud, file)
	}
	return entry, nil
}

// withoutValues keeps YAML's type errors, which quote what they stumble over,
// from showing a password.
func withoutValues(err error) error {
	var t *yaml.TypeError
	if errors.As(err, &t) {
		return errors.New("a value is of the wrong type")
	}
	return err
}
