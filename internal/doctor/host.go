package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// healthHeader is on every answer of /up that a Millrace gives.
const healthHeader = "X-Health-Check"

// listener looks at http.listen: free, or served by a Millrace.
func (e *examination) listener(ctx context.Context) {
	l := e.o.Listen
	if l.Address == "" {
		e.skip("no address is known")
		return
	}
	if e.isFree(ctx, l.Address) {
		return
	}
	answer, err := l.get(ctx, "/up")
	if err != nil {
		e.problem(fmt.Sprintf("%s is in use, and what uses it does not speak HTTP: %v", l.Address, err),
			"find it with \"ss -ltnp\" and stop it, or choose another http.listen")
		return
	}
	defer answer.Body.Close()
	health := answer.Header.Get(healthHeader)
	if e.isServed = health != ""; !e.isServed {
		e.problem(l.Address+" is in use by a server that is no Millrace",
			"find it with \"ss -ltnp\" and stop it, or choose another http.listen")
		return
	}
	e.good(fmt.Sprintf("a Millrace serves %s (%s)", l.Address, health))
}

// isFree reports whether no process listens on an address, or whether that cannot be known, and says so.
func (e *examination) isFree(ctx context.Context, address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			conn.Close()
			return false
		}
		if errors.Is(err, fs.ErrPermission) {
			e.problem("the socket may not be used: "+err.Error(), "run the doctor as the user of the server, or of the proxy before it")
			return true
		}
		e.good(path + " is free: no server runs")
		return true
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		l.Close()
		e.good(address + " is free: no server runs")
		return true
	case errors.Is(err, fs.ErrPermission):
		e.problem("this user may not listen on "+address,
			"choose a port from 1024 on, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE")
		return true
	case !isAnswered(ctx, address):
		e.problem("no server can listen on "+address+": "+err.Error(),
			"name an address that this machine has (\"ip addr\" lists them), or only a port, such as \":6001\"")
		return true
	}
	return false
}

// dialTimeout is more than an address of this machine needs.
const dialTimeout = time.Second

// isAnswered reports whether an address takes connections: it is in use then.
func isAnswered(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// get asks the listening process, whatever certificate it has: which server it is, not whether to trust it.
func (l Listener) get(ctx context.Context, path string) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing secret is said, and check tls verifies
	}}
	host := l.Address
	if socket, ok := strings.CutPrefix(l.Address, "unix:"); ok {
		host = "localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	} else if name, port, err := net.SplitHostPort(l.Address); err == nil {
		if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
			host = net.JoinHostPort("localhost", port)
		}
	}
	scheme := "http://"
	if l.IsTLS {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+host+path, nil)
	if err != nil {
		return nil, err
	}
	return (&http.Client{Transport: transport}).Do(request)
}

// metricsListener looks at metrics.listen, and learns from it what the server may open.
func (e *examination) metricsListener(ctx context.Context) {
	l := e.o.MetricsListen
	if l.Address == "" {
		e.skip("turned off")
		return
	}
	if e.isFree(ctx, l.Address) {
		return
	}
	const fix = "find it with \"ss -ltnp\" and stop it, or choose another metrics.listen"
	answer, err := l.get(ctx, "/metrics")
	if err != nil && l.IsTLS && e.isServed {
		e.skip(l.Address + " is in use and asks for a client certificate")
		return
	}
	if err != nil {
		e.problem(fmt.Sprintf("%s is in use, and does not answer: %v", l.Address, err), fix)
		return
	}
	defer answer.Body.Close()
	isOurs := false
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		isOurs = isOurs || strings.HasPrefix(lines.Text(), "millrace_")
		if value, ok := strings.CutPrefix(lines.Text(), "process_max_fds "); ok {
			if n, err := strconv.ParseFloat(value, 64); err == nil {
				e.serverOpen = uint64(n)
			}
		}
	}
	if !isOurs {
		e.problem(l.Address+" is in use by a server that is no Millrace", fix)
		return
	}
	e.good("a Millrace serves metrics on " + l.Address)
}

const (
	// besides is how many descriptors a server needs that are no connections of clients.
	besides = 100
	// fewDescriptors is what a node without a limit of connections should have at least.
	fewDescriptors = 10_000
)

// descriptors compares what may be opened with the connections that may come.
func (e *examination) descriptors(context.Context) {
	limit, whose := e.serverOpen, "the running server"
	if limit == 0 {
		limit, whose = e.o.DescriptorLimit, "this shell"
	}
	most := uint64(e.o.MaxConnections)
	const fix = "set LimitNOFILE=1048576 in the systemd unit, or \"ulimit -n 1048576\" before the start"
	switch {
	case limit == 0:
		e.skip("the limit is not known on this system")
	case most > 0 && limit < most+besides:
		e.problem(fmt.Sprintf("%s may open %d descriptors, but websocket.max_connections = %d needs %d", whose, limit, most, most+besides), fix)
	case most == 0 && limit < fewDescriptors:
		e.warn(fmt.Sprintf("%s may open %d descriptors: about as many connections are the end, and no limit refuses them before", whose, limit),
			fix+"; and set websocket.max_connections")
	default:
		e.good(fmt.Sprintf("%s may open %d", whose, limit))
	}
}

const (
	lowSpace  = 1 << 30
	noSpace   = 100 << 20
	probeName = ".millrace-doctor-*"
)

// registry asks the database of apps.
func (e *examination) registry(ctx context.Context) {
	if e.o.Registry == nil {
		e.skip("no database of apps apart from the store")
		return
	}
	if err := e.o.Registry(ctx); err != nil {
		e.problem(err.Error(), "see registry.url, and that the database runs: without it the server does not start, and apps cannot be changed")
		return
	}
	e.good("the database of apps answers")
}

// store looks at the directory: writable, room left, owned by at most this server.
func (e *examination) store(ctx context.Context) {
	s := e.o.Store
	if s == nil {
		e.skip("store.driver = \"memory\": nothing is kept")
		return
	}
	info, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.isServed:
		e.warn("a Millrace serves the listener, but "+s.Path+" does not exist", elsewhere)
		return
	case errors.Is(err, fs.ErrNotExist):
		e.good(s.Path + " does not exist yet; the server makes it")
		return
	case err != nil:
		e.problem(err.Error(), "let the user of the server enter the directories above it")
		return
	case !info.IsDir():
		e.problem(s.Path+" is no directory", "remove it, or choose another store.path")
		return
	}
	f, err := os.CreateTemp(s.Path, probeName)
	if err != nil {
		e.problem("not writable: "+err.Error(), "run the doctor as the user of the server; if it is, give it the directory with chown")
		return
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		e.problem("not writable: "+err.Error(), "see that the file system of the directory is healthy and not full")
		return
	}
	e.space(s)
	e.lock(ctx, s)
}

func (e *examination) space(s *Store) {
	free, ok := s.FreeSpace(s.Path)
	text, fix := fmt.Sprintf("%s has %d MB left", s.Path, free>>20), "make room, or move store.path to a larger disk: a full one refuses every change"
	switch {
	case !ok:
		e.skip("the free space is not known on this system")
	case free < noSpace:
		e.problem(text, fix)
	case free < lowSpace:
		e.warn(text, fix)
	default:
		e.good(text)
	}
}

func (e *examination) lock(ctx context.Context, s *Store) {
	if _, err := os.Stat(s.Path); err != nil {
		return
	}
	switch err := s.Probe(ctx); {
	case err == nil && e.isServed:
		e.warn("a Millrace serves the listener, but does not own "+s.Path, elsewhere)
	case err == nil:
		e.good("no process owns it")
	case s.IsLocked(err) && e.isServed:
		e.good("owned by a running server")
	case s.IsLocked(err):
		e.problem("another process owns "+s.Path+", and no Millrace serves the listener",
			"stop that process, or give this server a store.path of its own")
	case s.IsDamaged(err):
		e.problem(err.Error(), "stop the server and restore the directory from a backup, or move it away to start empty")
	default:
		e.problem("not known whether a process owns it: "+err.Error(),
			"leave the data where it is; see that this user may read and write what is in it, and that its disk is healthy")
	}
}

// elsewhere is why a server may keep its data where the doctor does not look.
const elsewhere = "see whether it runs with this configuration, and from this directory if store.path is relative: an absolute path leaves no doubt"
