package glanceapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// endpointVersion matches the version an endpoint may end in.
var endpointVersion = regexp.MustCompile(`/v[0-9]+(\.[0-9]+)?$`)

// splitEndpoint checks an endpoint as it was configured or came from a catalog
// and takes the version off its end.
func splitEndpoint(endpoint string) (base, version string, err error) {
	u, err := url.Parse(strings.TrimSpace(endpoint))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", "", errors.New("not an http or https URL") // it may hold a password
	case u.User != nil:
		return "", "", errors.New("a URL with a user name or password in it")
	case u.RawQuery != "" || u.Fragment != "":
		return "", "", errors.New("a URL with a query")
	}
	u.Host = strings.ToLower(u.Host)
	base = strings.TrimRight(u.String(), "/")
	version = endpointVersion.FindString(base)
	base = strings.TrimRight(strings.TrimSuffix(base, version), "/")
	return base, strings.TrimPrefix(version, "/"), nil
}

// discover finds the version of the API to speak at c's endpoint, and sets
// c.base. The links in the answer are not looked at: they often show an address
// that only the service itself can reach.
func discover(ctx context.Context, c *conn) (dialect, error) {
	base, named, err := splitEndpoint(c.base)
	if err != nil {
		return nil, fmt.Errorf("the image service's endpoint: %w", err)
	}
	c.base = base
	versions, err := retry(ctx, patience{again: startBudget}, &c.count.retries, c.versions)
	var e *Error
	if errors.As(err, &e) && e.Status == 0 {
		return nil, &Error{Op: "image service " + base, Err: unreachable(e.Err), Message: e.Message, temporary: e.temporary}
	}
	// Some clouds hide the list. An endpoint that names its version is believed.
	sure := err == nil && !c.unproven()
	if err != nil && strings.HasPrefix(named, "v2") && !Temporary(err) {
		versions, err = []string{named}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("image service %s: %w", base, err)
	}
	for _, v := range versions {
		if !strings.HasPrefix(v, "v2") {
			continue
		}
		if !sure {
			_, err := retry(ctx, patience{again: startBudget}, &c.count.retries, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, v2{c}.check(ctx)
			})
			if err != nil {
				return nil, fmt.Errorf("image service %s: %w", base, err)
			}
		}
		return v2{c}, nil
	}
	return nil, fmt.Errorf("image service %s speaks only %s, not v2", base, oneLine(strings.Join(versions, ", ")))
}

// unproven reports whether a list of versions says too little: it is given to
// anybody, whatever their token, and under every path, since a path that the
// service does not know is answered with the list too. Keystone has seen the
// token and tells the path.
func (c *conn) unproven() bool {
	token, given := c.auth.(fixedToken)
	u, err := url.Parse(c.base)
	return given && (token != "" || err == nil && u.Path != "")
}

// versions asks for the ids of the versions at c's endpoint. GET / lists them
// in every release that has a list; GET /versions answers 200 where GET / has
// the status 300, which some proxies do not let through.
func (c *conn) versions(ctx context.Context) ([]string, error) {
	v, err := c.versionsAt(ctx, "/versions")
	if err == nil || Temporary(err) {
		return v, err
	}
	return c.versionsAt(ctx, "/")
}

func (c *conn) versionsAt(ctx context.Context, path string) ([]string, error) {
	resp, err := c.do(ctx, c.http, get(&c.count.metadata, path, nil, http.StatusOK, http.StatusMultipleChoices))
	if err != nil {
		return nil, err
	}
	b, err := c.whole(ctx, resp)
	if err != nil {
		return nil, err
	}
	var doc struct{ Versions []struct{ ID string } }
	if json.Unmarshal(b, &doc) != nil || len(doc.Versions) == 0 {
		return nil, badAnswer(resp, "no list of versions: this is not an image service")
	}
	var ids []string
	for _, v := range doc.Versions {
		ids = append(ids, v.ID)
	}
	return ids, nil
}
