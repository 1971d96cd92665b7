package glanceapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// defaultDomain is the id of the domain every Keystone is set up with.
const defaultDomain = "default"

// accountFromEnv reads the OS_* variables as the openstack command does.
func accountFromEnv(getenv func(string) string) (account, error) {
	get := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	url := get("OS_AUTH_URL")
	if url == "" {
		return account{}, errors.New("no image service named: give an endpoint, a cloud of clouds.yaml, or OS_AUTH_URL and what belongs to it")
	}
	scope := gophercloud.AuthScope{ProjectID: get("OS_PROJECT_ID", "OS_TENANT_ID")}
	if scope.ProjectID == "" {
		scope.ProjectName = get("OS_PROJECT_NAME", "OS_TENANT_NAME")
		scope.DomainID = get("OS_PROJECT_DOMAIN_ID", "OS_DOMAIN_ID")
		scope.DomainName = get("OS_PROJECT_DOMAIN_NAME", "OS_DOMAIN_NAME")
	}
	ao := gophercloud.AuthOptions{
		IdentityEndpoint:            url,
		UserID:                      get("OS_USER_ID", "OS_USERID"),
		Username:                    get("OS_USERNAME"),
		Password:                    get("OS_PASSWORD"),
		DomainID:                    get("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID"),
		DomainName:                  get("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME", "OS_DEFAULT_DOMAIN"),
		TokenID:                     get("OS_TOKEN", "OS_AUTH_TOKEN"),
		ApplicationCredentialID:     get("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   get("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: get("OS_APPLICATION_CREDENTIAL_SECRET"),
		Scope:                       &scope,
	}
	a := account{region: get("OS_REGION_NAME"), side: side(get("OS_INTERFACE", "OS_ENDPOINT_TYPE"))}
	err := a.setKeystone(ao, get("OS_AUTH_TYPE"))
	if err != nil {
		err = fmt.Errorf("%w: look at the OS_* variables", err)
	}
	return a, err
}

// setKeystone keeps of ao what the way to authenticate takes, because Keystone
// and gophercloud refuse what is too much, and fills in the default domain.
// kind is an auth_type of clouds.yaml; "" goes by what is there.
func (a *account) setKeystone(ao gophercloud.AuthOptions, kind string) error {
	if kind == "" {
		kind = guessKind(ao)
	}
	switch kind {
	case "password", "v3password":
		if ao.Password == "" || ao.Username == "" && ao.UserID == "" {
			return errors.New("a user name and a password are needed")
		}
		ao.TokenID, ao.ApplicationCredentialID, ao.ApplicationCredentialName = "", "", ""
	case "v3applicationcredential":
		if ao.ApplicationCredentialSecret == "" || ao.ApplicationCredentialID == "" && ao.ApplicationCredentialName == "" {
			return errors.New("an application credential's id and secret are needed")
		}
		ao.Password, ao.TokenID, ao.Scope = "", "", nil
	case "token", "v3token":
		if ao.TokenID == "" {
			return errors.New("a token is needed")
		}
		ao.Password, ao.Username, ao.UserID, ao.DomainID, ao.DomainName = "", "", "", "", ""
		ao.ApplicationCredentialID, ao.ApplicationCredentialName = "", ""
	default:
		return fmt.Errorf("unknown auth type %q", kind)
	}
	ao.TenantID, ao.TenantName = "", "" // Scope says it
	ao.DomainID, ao.DomainName = oneDomain(ao.DomainID, ao.DomainName, ao.Username != "" && ao.UserID == "")
	if ao.UserID != "" {
		ao.Username = ""
	}
	ao.Scope = cleanScope(ao.Scope)
	a.keystone = ao
	return nil
}

func guessKind(ao gophercloud.AuthOptions) string {
	switch {
	case ao.ApplicationCredentialID != "" || ao.ApplicationCredentialName != "":
		return "v3applicationcredential"
	case ao.TokenID != "" && ao.Password == "":
		return "token"
	}
	return "password"
}

// oneDomain chooses between a domain's id and its name: giving both is an error.
func oneDomain(id, name string, needed bool) (string, string) {
	switch {
	case !needed:
		return "", ""
	case id != "":
		return id, ""
	case name != "":
		return "", name
	}
	return defaultDomain, ""
}

// cleanScope returns nil for a scope without content.
func cleanScope(s *gophercloud.AuthScope) *gophercloud.AuthScope {
	if s == nil || *s == (gophercloud.AuthScope{}) {
		return nil
	}
	c := *s
	switch {
	case c.ProjectID != "":
		c.ProjectName, c.DomainID, c.DomainName = "", "", ""
	case c.ProjectName != "":
		c.DomainID, c.DomainName = oneDomain(c.DomainID, c.DomainName, true)
	}
	return &c
}

// side translates the older spellings of an interface; public is the default.
func side(s string) string {
	switch s = strings.TrimSuffix(strings.ToLower(s), "url"); s {
	case "internal", "admin":
		return s
	}
	return "public"
}
