package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// marked is in every secret of these tests, and in nothing else.
const marked = "hunter2"

// A blabber is a Keystone and an image service that tell everything they know to
// whoever asks, as proxies, stack traces and signed addresses do.
type blabber struct {
	*hostile
	keystone string // its URL
	issued   atomic.Int64
	refusing atomic.Bool // Keystone does
}

// newBlabber has an image for each way to fail.
func newBlabber(t *testing.T) *blabber {
	t.Helper()
	b := &blabber{hostile: newHostile(t)}
	keystone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := io.ReadAll(r.Body)
		if b.refusing.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":%q}}`, "cannot handle "+string(request))
			return
		}
		w.Header().Set("X-Subject-Token", b.token(b.issued.Add(1)))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":{"user":{"id":"u"},"project":{"id":"p"},"catalog":[
			{"type":"image","name":"glance","endpoints":[{"interface":"public","region":"one","url":%q}]}]}}`, b.URL)
	}))
	t.Cleanup(keystone.Close)
	b.keystone = keystone.URL + "/v3"
	signed := "https://" + marked + "-user:" + marked + "-password@store.example/c/o?X-Amz-Signature=" + marked + "-signature"
	says := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]string{"message": fmt.Sprintf("token %s is not good for %s", r.Header.Get("X-Auth-Token"), signed)})
		}
	}
	location := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			fmt.Fprintf(w, "<a href=%q>Found</a> at %s", to, to)
		}
	}
	for name, data := range map[string]http.HandlerFunc{
		"refused": says(401), "forbidden": says(403), "bad": says(400), "broken": says(500), "signed": location(signed),
		"relative": location("/x?sig=" + marked + "-signature"), "no address": location("https://[::1/%zz?sig=" + marked + "-signature"),
	} {
		b.add(data, map[string]any{"name": name, "direct_url": signed, "locations": []any{map[string]any{"url": signed, "metadata": map[string]any{}}}})
	}
	b.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { says(400)(w, r) })
	return b
}

func (b *blabber) token(n int64) string { return fmt.Sprintf("%s-token-%d", marked, n) }

// account is how the blabber's Keystone is logged in to.
func (b *blabber) account() []string {
	return []string{"OS_AUTH_URL=" + b.keystone, "OS_USERNAME=u", "OS_PASSWORD=" + marked + "-password", "OS_PROJECT_NAME=p"}
}

// TestSecrets uses a mount until everything has failed that can, with services
// that repeat what they were told. No secret is to be found anywhere afterwards:
// not in the log, at any level, a file of the mount, an attribute, a metric, the
// cache directory, what programs were told, or how processes were started.
func TestSecrets(t *testing.T) {
	t.Parallel()
	require(t)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		format string
		env    func(b *blabber) []string
		args   func(b *blabber) []string
	}{
		"password": {"text", (*blabber).account, func(*blabber) []string { return nil }},
		"env file": {"json", func(*blabber) []string { return nil }, func(b *blabber) []string { return []string{"--env-file", file(t, dir, b.account()...)} }},
		"token":    {"text", func(b *blabber) []string { return []string{"OS_TOKEN=" + b.token(0)} }, func(b *blabber) []string { return []string{"--endpoint", b.URL} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBlabber(t)
			systemd := newSystemd(t)
			systemd.deaf()
			env := systemd.environ(400 * time.Millisecond) // has it start processes all the time
			port, err := freePort()
			if err != nil {
				t.Fatal(err)
			}
			metrics := "127.0.0.1:" + port
			m := mountEnv(t, append(env, c.env(b)...), append(c.args(b), "--log-level", "debug", "--log-format", c.format,
				"--metrics", metrics, "--timeout", "1s", "--refresh", "1s", "--allow-delete")...)
			b.use(t, m, metrics, name == "env file")
		})
	}
}

// use does what fails, and looks for secrets in all that comes of it.
func (b *blabber) use(t *testing.T, m *Mount, metrics string, fromFile bool) {
	t.Helper()
	script := `
cd "$1"
for i in images/*; do
	cat $i/data; cat $i/*.json; getfattr -d $i/data $i; cp /etc/hostname $i/meta.json; touch $i/members/x; cat $i/members/*
	setfattr -n user.glance.name -v x $i/data; getfattr -d $i/data; rmdir $i
done
ls -lR .; cp /etc/hostname incoming/a; getfattr -d incoming/a; cat incoming/a.meta.json; mkdir incoming/b
cat .glancefs/*; glancefs status .; glancefs status --json .; glancefs warm . signed refused; curl -s "http://$2/metrics" "http://$2/healthz" "http://$2/debug/pprof/cmdline"
findmnt "$1"; df .`
	ask := func() {
		t.Helper()
		c, err := command(t.Context(), nil, "sh", "-c", script, "sh", m.Dir, metrics)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		c.Run() // with many errors
		clean(t, "what programs were told", out.String())
		if n := strings.Count(out.String(), "Input/output error"); n < 3 {
			t.Errorf("only %d errors: what was to fail did not:\n%s", n, &out)
		}
	}
	ask()
	b.refusing.Store(true)
	ask()
	m.cmd.Process.Signal(syscall.SIGHUP)
	ask()
	// What was to fail has been told of.
	m.says(t, "store.example")
	m.says(t, "which was not followed")
	clean(t, "the log", m.Stderr.String())
	worker, err := m.worker()
	if err != nil {
		t.Fatal(err)
	}
	children := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, pid := range childrenOf(worker) {
			line, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")) // it may have ended
			clean(t, "the command line of a child", string(line))
			if len(line) == 0 || bytes.Contains(line, []byte("\x00--cache-dir=")) {
				continue // it is about to become another program, and still looks like the mount
			}
			children++
			environ, _ := os.ReadFile(filepath.Join("/proc", pid, "environ"))
			clean(t, "the environment of a child", string(environ))
		}
	}
	if children == 0 {
		t.Error("no child was seen")
	}
	self := filepath.Join("/proc", strconv.Itoa(m.cmd.Process.Pid))
	for _, what := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join(self, what))
		if err != nil {
			t.Fatal(err)
		}
		if what == "cmdline" || fromFile {
			clean(t, what+" of the mount", string(text))
		}
	}
	m.Stop(t)
	if out, err := try(nil, "grep", "-r", marked, filepath.Join(filepath.Dir(m.Dir), "cache")); err == nil {
		t.Errorf("in the cache directory: %s", out)
	}
}

// clean fails the test if there is a secret in text.
func clean(t *testing.T, where, text string) {
	t.Helper()
	if i := strings.Index(text, marked); i >= 0 {
		t.Fatalf("a secret is in %s: …%s…", where, text[max(0, i-300):min(len(text), i+100)])
	}
}

// childrenOf lists the processes that pid has started.
func childrenOf(pid int) (all []string) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		all = append(all, strings.Fields(string(text))...)
	}
	return all
}

// file writes lines to a file in dir.
func file(t *testing.T, dir string, lines ...string) (path string) {
	t.Helper()
	f, err := os.CreateTemp(dir, "account")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Join(lines, "\n") + "\n"); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// TestSecretsOfRefusals: a mount that is refused says why, and no secret.
func TestSecretsOfRefusals(t *testing.T) {
	t.Parallel()
	require(t)
	b := newBlabber(t)
	b.refusing.Store(true)
	dir := t.TempDir()
	host := strings.TrimPrefix(b.URL, "http://")
	replaced := func(name, value string) []string {
		all := slices.DeleteFunc(b.account(), func(v string) bool { return strings.HasPrefix(v, name+"=") })
		return append(all, name+"="+value)
	}
	for name, c := range map[string]struct{ env, args []string }{
		"login":               {b.account(), nil},
		"user in endpoint":    {[]string{"GLANCEFS_ENDPOINT=http://u:" + marked + "@" + host}, nil},
		"query in endpoint":   {[]string{"GLANCEFS_ENDPOINT=" + b.URL + "?sig=" + marked}, nil},
		"endpoint is no URL":  {[]string{"GLANCEFS_ENDPOINT=http://u:" + marked + "@ho st:x/%zz"}, nil},
		"user in auth URL":    {replaced("OS_AUTH_URL", "http://u:"+marked+"@"+host+"/v3"), nil},
		"query in auth URL":   {replaced("OS_AUTH_URL", b.keystone+"?sig="+marked), nil},
		"auth URL is no URL":  {replaced("OS_AUTH_URL", "http://u:"+marked+"@ho st:x/%zz"), nil},
		"env file, no line":   {nil, []string{"--env-file", file(t, dir, "OS_PASSWORD "+marked)}},
		"env file, quotes":    {nil, []string{"--env-file", file(t, dir, "OS_PASSWORD='"+marked)}},
		"clouds.yaml, broken": {[]string{"OS_CLOUD=a", "OS_CLIENT_CONFIG_FILE=" + file(t, dir, "clouds:", " a:", "  auth: "+marked)}, nil},
		"clouds.yaml, no map": {[]string{"OS_CLOUD=a", "OS_CLIENT_CONFIG_FILE=" + file(t, dir, "clouds:", " a:", "  auth: {password: ["+marked+"]}")}, nil},
		"token no header":     {[]string{"OS_TOKEN=" + marked + "\n\x01", "GLANCEFS_ENDPOINT=" + b.URL}, nil},
	} {
		line, err := refused(c.env, append(append(c.args, "--log-level", "debug", "--cache-dir", t.TempDir()), t.TempDir())...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(line, marked) {
			t.Errorf("%s: the secret is told: %s", name, line)
		}
		t.Logf("%s: %s", name, line)
	}
}
