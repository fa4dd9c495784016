// Package pgtest runs a throw-away PostgreSQL for tests: a cluster of its own in a temporary
// folder, reachable through a unix socket there, without a port. What else runs on the machine
// is left alone. Nothing of it is safe on a disk.
//
// It is imported by tests only. The server process ends with Stop, or else with the test process.
package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The superuser of a cluster. The password has characters that a URL must escape.
const (
	User     = "millrace"
	Password = "pa:ss/w@rd%"
)

// waitLimit bounds every wait. Only a failing test waits so long.
const waitLimit = 3 * time.Minute

// Cluster is one server and its databases. Databases may be made from any goroutine; Start and
// Stop belong to one.
type Cluster struct {
	bin, folder string
	account     *user.User // account of the server; nil for the present one

	databases atomic.Int64
	server    *exec.Cmd     // nil while it is stopped
	ended     chan struct{} // closed when what the server says has ended
}

// New makes a cluster and starts it.
func New() (*Cluster, error) {
	c := &Cluster{}
	err := c.prepare()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: %w", err), c.remove())
	}
	return c, nil
}

// Shared tells how to open one cluster for all tests of a process. stop, which may be called
// always, ends it.
func Shared() (open func(t testing.TB) *Cluster, stop func() error) {
	type result struct {
		cluster *Cluster
		err     error
	}
	made := make(chan result, 1)
	made <- result{} // the test that takes it may make the cluster
	open = func(t testing.TB) *Cluster {
		t.Helper()
		r := <-made
		if r.cluster == nil && r.err == nil {
			r.cluster, r.err = New()
		}
		made <- r
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.cluster
	}
	return open, func() error {
		if r := <-made; r.cluster != nil {
			return r.cluster.Close()
		}
		return nil
	}
}

// Open makes a cluster for one test.
func Open(t testing.TB) *Cluster {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *Cluster) prepare() (err error) {
	if c.bin, err = find(); err != nil {
		return err
	}
	// Not t.TempDir: the path of a socket must be short, and its account must reach it.
	if c.folder, err = os.MkdirTemp("", "pgtest-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if c.account, err = user.Lookup("postgres"); err != nil {
			return fmt.Errorf("%w; run the tests as another user than root, or install the package postgresql, which makes the user", err)
		}
	}
	secret := filepath.Join(c.folder, "password")
	if err := os.WriteFile(secret, []byte(Password), 0o600); err != nil {
		return err
	}
	if err := c.own(c.folder, secret); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	return run(c.command(ctx, "initdb", "--pgdata="+c.data(), "--username="+User, "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"))
}

// find looks where Debian, Homebrew and others put the server; the newest wins.
func find() (bin string, err error) {
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/opt/homebrew/opt/postgresql@*/bin/initdb", "/usr/local/opt/postgresql@*/bin/initdb"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return filepath.Dir(slices.Max(found)), nil
		}
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("PostgreSQL is missing; install it, for example: sudo apt-get install postgresql")
	}
	return filepath.Dir(path), nil
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// own gives paths to the account of the server.
func (c *Cluster) own(paths ...string) error {
	if c.account == nil {
		return nil
	}
	uid, err := strconv.Atoi(c.account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(c.account.Gid)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program of PostgreSQL as the account of the server. Where there is setpriv, the
// kernel ends it with this process.
func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	args = append([]string{filepath.Join(c.bin, program)}, args...)
	if setpriv, err := exec.LookPath("setpriv"); err == nil {
		head := []string{setpriv, "--pdeathsig=QUIT"}
		if c.account != nil {
			head = append(head, "--reuid="+c.account.Uid, "--regid="+c.account.Gid, "--init-groups")
		}
		args = append(head, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = c.folder
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "PGPASSWORD=" + Password, "TZ=UTC"} //nolint:forbidigo // programs of PostgreSQL start others
	return cmd
}

func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Start starts the server and returns when it takes connections.
func (c *Cluster) Start() error {
	server := c.command(context.Background(), "postgres", "-D", c.data(), "-k", c.folder, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
		"-c", "shared_buffers=16MB", "-c", "max_connections=500", "-c", "logging_collector=off")
	out, err := server.StderrPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	c.server, c.ended = server, make(chan struct{})
	ready := make(chan error, 1)
	go func() { // ends with the server
		defer close(c.ended)
		ready <- untilReady(out)
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case err = <-ready:
	case <-time.After(waitLimit):
		err = errors.New("the server did not start in time")
	}
	if err != nil {
		return errors.Join(err, c.Stop())
	}
	return nil
}

// untilReady reads the log of a server that starts.
func untilReady(log io.Reader) error {
	var said []string
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("the server did not start:\n%s", strings.Join(said, "\n"))
}

// Stop cuts all connections and ends the server (a fast shutdown). The databases stay.
func (c *Cluster) Stop() error {
	if c.server == nil {
		return nil
	}
	server := c.server
	c.server = nil
	_ = server.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-c.ended:
	case <-time.After(waitLimit):
		_ = server.Process.Kill()
		<-c.ended
	}
	if err := server.Wait(); err != nil {
		return fmt.Errorf("pgtest: the server: %w", err)
	}
	return nil
}

// Close ends the server and removes everything.
func (c *Cluster) Close() error { return errors.Join(c.Stop(), c.remove()) }

func (c *Cluster) remove() error {
	if c.folder == "" {
		return nil
	}
	return os.RemoveAll(c.folder)
}

// Database makes an empty database and returns its URL, as the superuser.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", c.databases.Add(1))
	c.psql(t, "postgres", "CREATE DATABASE "+name)
	return c.URL(name, User, Password)
}

// URL of a database, for any user.
func (c *Cluster) URL(database, name, password string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, password), Path: "/" + database,
		RawQuery: url.Values{"host": {c.folder}}.Encode(),
	}
	return u.String()
}

// Execute runs statements, each in its own transaction, in the database of a URL.
func (c *Cluster) Execute(t testing.TB, address string, statements ...string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c.psql(t, strings.TrimPrefix(u.Path, "/"), statements...)
}

func (c *Cluster) psql(t testing.TB, database string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	args := []string{"--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host=" + c.folder, "--username=" + User, "--dbname=" + database}
	for _, statement := range statements {
		args = append(args, "--command="+statement)
	}
	if err := run(c.command(ctx, "psql", args...)); err != nil {
		t.Fatal(err)
	}
}
