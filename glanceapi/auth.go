package glanceapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"golang.org/x/sync/singleflight"
)

// errFixedToken says that a token was given from outside and cannot be renewed.
var errFixedToken = errors.New("the token cannot be renewed")

// A fixedToken is a token without Keystone.
type fixedToken string

func (t fixedToken) token() string                       { return string(t) }
func (t fixedToken) project() string                     { return "" }
func (t fixedToken) expires() time.Time                  { return time.Time{} }
func (t fixedToken) renew(context.Context, string) error { return errFixedToken }
func (t fixedToken) inVain()                             {}

// An account is what is needed to reach a cloud's image service, from
// clouds.yaml or the environment.
type account struct {
	endpoint string // of the image service; "" to look it up in Keystone's catalog
	fixed    bool   // token is sent as it is, Keystone is not asked
	token    string
	keystone gophercloud.AuthOptions
	region   string
	side     string // public, internal or admin
	tls      *tls.Config
}

// login gets a token if a needs one, and with it the endpoint.
func (c *conn) login(ctx context.Context, a account) error {
	c.base = a.endpoint
	if a.fixed {
		c.auth = fixedToken(a.token)
		return nil
	}
	k := newKeystone(a.keystone, &c.count.renewals)
	if err := k.login(ctx, c, a.keystone); err != nil {
		return err
	}
	c.auth = k
	if c.base != "" {
		return nil
	}
	var err error
	c.base, err = k.imageEndpoint(a.region, a.side)
	return err
}

// findAccount decides where to look: a plain endpoint, clouds.yaml, or the
// environment.
func findAccount(c Config) (account, error) {
	cacert := c.CACert
	if cacert == "" {
		cacert = os.Getenv("OS_CACERT")
	}
	cloud := c.Cloud
	if cloud == "" {
		cloud = os.Getenv("OS_CLOUD")
	}
	if c.Endpoint == "" && cloud != "" {
		return accountFromClouds(cloud, c.CACert)
	}
	t, err := trust(cacert)
	if err != nil {
		return account{}, err
	}
	if c.Endpoint != "" {
		return account{endpoint: c.Endpoint, fixed: true, token: strings.TrimSpace(c.Token), tls: t}, nil
	}
	a, err := accountFromEnv(os.Getenv)
	a.tls = t
	return a, err
}

// keystone is a session with Keystone v3.
type keystone struct {
	provider *gophercloud.ProviderClient
	flight   singleflight.Group
	count    *atomic.Int64 // of renewals
	refusal  string        // what a 401 means for this kind of account
	secrets  []string      // of the account, which Keystone's words are not to have
	byToken  bool          // the account is a token, not a secret
	scope    string        // id of the project the token is for

	mu      sync.Mutex
	pause   time.Time // until when there is no renewal
	outcome error     // of the one before it
}

func newKeystone(ao gophercloud.AuthOptions, renewals *atomic.Int64) *keystone {
	k := &keystone{
		count: renewals, byToken: ao.TokenID != "", refusal: "wrong user name, password or project",
		secrets: []string{ao.Password, ao.ApplicationCredentialSecret, ao.TokenID},
	}
	switch {
	case k.byToken:
		k.refusal = "the token is wrong, revoked or has expired"
	case ao.ApplicationCredentialSecret != "" && ao.Password == "":
		k.refusal = "wrong or expired application credential"
	}
	return k
}

func (k *keystone) login(ctx context.Context, c *conn, ao gophercloud.AuthOptions) error {
	if _, _, err := splitEndpoint(ao.IdentityEndpoint); err != nil {
		return fmt.Errorf("keystone: the auth URL: %w", err)
	}
	p, err := openstack.NewClient(strings.TrimSpace(ao.IdentityEndpoint))
	if err != nil {
		return errors.New("keystone: the auth URL cannot be used")
	}
	p.HTTPClient = *c.http
	p.HTTPClient.Transport = bounded{c.http.Transport}
	p.UserAgent.Prepend("glancefs")
	k.provider = p
	// A token that is not to be scoped anew is used as it is: there is nothing
	// to renew it with.
	ao.AllowReauth = !k.byToken || ao.Scope != nil
	_, err = retry(ctx, patience{again: startBudget}, &c.count.retries, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, k.failed(ctx, openstack.AuthenticateV3(ctx, p, &ao, gophercloud.EndpointOpts{}))
	})
	if err != nil {
		return err
	}
	return k.checkProject()
}

// checkProject refuses a token without a project: the image service takes one
// and shows a list that is nobody's.
func (k *keystone) checkProject() error {
	r, ok := k.provider.GetAuthResult().(interface {
		ExtractProject() (*tokens.Project, error)
	})
	if ok {
		if p, err := r.ExtractProject(); err == nil && p != nil && p.ID != "" {
			k.scope = p.ID
			return nil
		}
	}
	return &Error{Op: k.name(), Message: "the token is for no project: set project_name in clouds.yaml, or OS_PROJECT_NAME"}
}

// imageEndpoint looks the image service up in the catalog that came with the
// token.
func (k *keystone) imageEndpoint(region, side string) (string, error) {
	r, ok := k.provider.GetAuthResult().(interface {
		ExtractServiceCatalog() (*tokens.ServiceCatalog, error)
	})
	if !ok {
		return "", &Error{Op: k.name(), Message: "no catalog came with the token"}
	}
	catalog, err := r.ExtractServiceCatalog()
	if err != nil {
		return "", &Error{Op: k.name(), Message: "the catalog that came with the token cannot be read"}
	}
	for _, service := range catalog.Entries {
		if service.Type != "image" {
			continue
		}
		for _, e := range service.Endpoints {
			if e.Interface == side && (region == "" || e.Region == region || e.RegionID == region) {
				return e.URL, nil
			}
		}
	}
	where := ""
	if region != "" {
		where = " in region " + oneLine(region)
	}
	return "", &Error{Op: k.name(), Message: "no " + side + " image endpoint" + where + " in the catalog"}
}

func (k *keystone) name() string {
	return "keystone " + strings.TrimSuffix(k.provider.IdentityBase, "/")
}

func (k *keystone) token() string   { return k.provider.Token() }
func (k *keystone) project() string { return k.scope }

func (k *keystone) expires() time.Time {
	r, ok := k.provider.GetAuthResult().(interface {
		ExtractToken() (*tokens.Token, error)
	})
	if !ok {
		return time.Time{}
	}
	t, err := r.ExtractToken()
	if err != nil {
		return time.Time{}
	}
	return t.ExpiresAt
}

// failed makes an *Error of what gophercloud says. Only a refusal keeps its
// status: any other of Keystone's would be taken for the image service's, a 404
// for a missing image.
func (k *keystone) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var answer gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &answer) {
		return k.unanswered(ctx, err)
	}
	words := without(without(answer.Body, k.secrets...), k.token())
	e := &Error{Op: k.name(), Message: message(words, answer.Actual)}
	switch {
	case answer.Actual == http.StatusUnauthorized, answer.Actual == http.StatusNotFound && k.byToken:
		e.Status, e.Message = http.StatusUnauthorized, k.refusal
	case answer.Actual == http.StatusForbidden:
		e.Status = answer.Actual
	default:
		if to := redirection(answer.Actual, answer.ResponseHeader); to != "" {
			e.Message = to
		}
		e.Err = errors.New(statusLine(answer.Actual))
		e.temporary = statusTemporary(answer.Actual)
		e.retryAfter = retryAfter(answer.ResponseHeader.Get("Retry-After"), time.Now())
	}
	return e
}

// unanswered is a login that got no answer, or one that makes no sense, which
// it will not do later either.
func (k *keystone) unanswered(ctx context.Context, err error) *Error {
	var sent *url.Error
	lost := errors.As(err, &sent) || errors.Is(err, io.ErrUnexpectedEOF)
	e := netError(ctx, k.name(), "", err)
	e.Err = unreachable(e.Err)
	if long := (*http.MaxBytesError)(nil); errors.As(err, &long) {
		e.Err = fmt.Errorf("the answer is longer than %d MiB", long.Limit>>20)
	}
	e.temporary = e.temporary && lost
	return e
}
