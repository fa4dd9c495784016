package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/auth"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/config/load"
	"github.com/millrace/millrace/internal/provision"
)

// AdminFlags say where the admin API of a server is, and who asks.
type AdminFlags struct {
	Config      string `help:"TOML file of the server, for its address and its admin credentials." placeholder:"FILE" type:"path"`
	URL         string `help:"Server, instead of the configured one." placeholder:"URL"`
	AdminKey    string `help:"Admin key, instead of the configured one or MILLRACE_ADMIN_KEY." placeholder:"KEY"`
	AdminSecret string `help:"Admin secret, instead of the configured one or MILLRACE_ADMIN_SECRET." placeholder:"SECRET"`
	JSON        bool   `name:"json" help:"Print the answer of the server as it is."`
}

// adminTimeout bounds one request.
const adminTimeout = 30 * time.Second

// maxAdminAnswer bounds the bytes that are read of an answer.
const maxAdminAnswer = 64 << 20

// adminClient asks the admin API of one server.
type adminClient struct {
	base        *url.URL
	key, secret string
	http        http.Client
}

func (f *AdminFlags) client(env *Env) (*adminClient, error) {
	address := f.URL
	c := &adminClient{
		key: env.variable("MILLRACE_ADMIN_KEY"), secret: env.variable("MILLRACE_ADMIN_SECRET"),
		http: http.Client{Timeout: adminTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
	}
	if f.Config != "" {
		// As for development, so that a server that runs with --dev can be asked, too.
		cfg, err := load.Source{Path: f.Config, Environ: env.Environ, Dev: true}.Load(provision.Check)
		if err != nil {
			return nil, err
		}
		c.key, c.secret = cfg.Admin.Key, cfg.Admin.Secret.Reveal()
		if address == "" {
			address = adminURL(cfg)
		}
	}
	if f.AdminKey != "" {
		c.key = f.AdminKey
	}
	if f.AdminSecret != "" {
		c.secret = f.AdminSecret
	}
	if c.key == "" || c.secret == "" {
		return nil, errors.New("the admin credentials are missing: give --config with [admin], or --admin-key and --admin-secret")
	}
	if address == "" {
		address = "http://127.0.0.1:6001"
	}
	var err error
	if c.base, err = url.Parse(strings.TrimRight(address, "/")); err != nil || c.base.Host == "" {
		return nil, fmt.Errorf("url %q: want http://host:port or https://host:port", address)
	}
	return c, nil
}

// adminURL is where a configuration serves the admin API, empty if that is no TCP address.
func adminURL(cfg *config.Config) string {
	listen, certificate := cfg.HTTP.Listen, cfg.HTTP.TLSCertFile
	if cfg.Admin.Private {
		listen, certificate = cfg.Metrics.Listen, cfg.Metrics.TLSCertFile
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if certificate != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// adminProblem is one thing wrong, as the server says it.
type adminProblem struct{ Path, Value, Message string }

func (p adminProblem) String() string {
	if p.Value == "" {
		return p.Path + ": " + p.Message
	}
	return p.Path + " = " + p.Value + ": " + p.Message
}

// do sends one signed request; path is what follows /admin. The nonce makes the same change
// a new request.
func (c *adminClient) do(ctx context.Context, method, path string, query url.Values, body []byte) ([]byte, error) {
	path = c.base.EscapedPath() + "/admin" + path
	if method != http.MethodGet {
		query.Set("nonce", rand.Text())
	}
	query = auth.SignRequest(auth.Request{Method: method, Path: path, Body: body}, query, c.key, c.secret, time.Now())
	address := c.base.Scheme + "://" + c.base.Host + path + "?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, which is signed
		}
		return nil, fmt.Errorf("%s: %w", c.base, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil || response.StatusCode/100 == 2 {
		return text, err
	}
	return nil, adminRefusal(response.StatusCode, text)
}

// adminRefusal is an answer that is none, with every problem on a line of its own.
func adminRefusal(status int, text []byte) error {
	var body struct {
		Error, Code string
		Problems    []adminProblem
		Apps        []importOutcome
	}
	if json.Unmarshal(text, &body) != nil || body.Error == "" {
		return fmt.Errorf("%d %s: is there an admin API at this address?", status, http.StatusText(status))
	}
	lines := []string{fmt.Sprintf("%d %s: %s", status, body.Code, body.Error)}
	for _, p := range body.Problems {
		lines = append(lines, p.String())
	}
	for _, a := range body.Apps {
		for _, p := range a.Problems {
			lines = append(lines, a.ID+": "+p.String())
		}
	}
	return errors.New(strings.Join(lines, "\n  "))
}
