package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// metricsTimeout bounds one look at the metrics page.
const metricsTimeout = 5 * time.Second

// target is the server as seen from beside it: its process, if it is local, and its
// metrics page, if it has one. What cannot be seen is left out of the result.
type target struct {
	pid  int
	proc *process // nil: not local, or not ours to see
	url  string   // of the metrics page; empty: none
	http *http.Client
	self process
}

// newTarget looks for the server's process. The second result says what cannot be
// measured, and why.
func newTarget(ctx context.Context, o *Options) (t *target, missing []error) {
	t = &target{
		pid: o.ServerPID, url: o.MetricsURL, self: newProcess(os.Getpid()),
		http: &http.Client{Timeout: metricsTimeout, Transport: &http.Transport{}},
	}
	if t.pid == 0 {
		var err error
		if t.pid, err = findServer(ctx, o.URL); err != nil {
			missing = append(missing, fmt.Errorf("no CPU and memory of the server: %w", err))
		}
	}
	if t.pid != 0 {
		p := newProcess(t.pid)
		if _, err := p.cpu(); err != nil {
			missing = append(missing, fmt.Errorf("no CPU and memory of the server: %w", err))
		} else {
			t.proc = &p
		}
	}
	if t.url != "" {
		err := t.checkMetrics(ctx)
		if err == nil {
			_, err = t.scrape(ctx)
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("no goroutines and allocations of the server: %w", err))
			t.url = ""
		}
	}
	return t, missing
}

// checkMetrics refuses a local metrics page that is known to be another process's.
func (t *target) checkMetrics(ctx context.Context) error {
	if t.pid == 0 {
		return nil
	}
	if pid, err := findServer(ctx, t.url); err == nil && pid != t.pid {
		return fmt.Errorf("%s is the page of process %d, the server is process %d", t.url, pid, t.pid)
	}
	return nil
}

// close gives back the connection to the metrics page.
func (t *target) close() { t.http.CloseIdleConnections() }

// findServer finds the local process that serves a URL.
func findServer(ctx context.Context, address string) (pid int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // net knows the ports of http and https
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return 0, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return 0, err
	}
	for _, ip := range ips {
		if !isLocal(ip) {
			continue
		}
		if pid, err = findListener(netip.AddrPortFrom(ip, uint16(n))); err == nil {
			return pid, nil
		}
	}
	return 0, errNoProcess
}

func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(net.IP(ip.AsSlice())) {
			return true
		}
	}
	return false
}

// scrape reads the metrics page.
func (t *target) scrape(ctx context.Context) (gauges, error) {
	if t.url == "" {
		return gauges{-1, -1}, nil
	}
	page, err := t.page(ctx)
	if err != nil {
		return gauges{-1, -1}, err
	}
	return parseGauges(page), nil
}

// page is the metrics page.
func (t *target) page(ctx context.Context) ([]byte, error) { return t.get(ctx, t.url) }

// heap collects the server's garbage and says what is left, in bytes.
func (t *target) heap(ctx context.Context) (n int64, err error) {
	u, err := url.Parse(t.url)
	if err != nil {
		return 0, err
	}
	for range 2 { // pools give up what they hold at the second collection
		profile, err := t.get(ctx, u.Scheme+"://"+u.Host+"/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			return 0, err
		}
		if n, err = parseHeap(profile); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (t *target) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, resp.Status)
	}
	return page, err
}

// goroutines of the server, -1 if unknown.
func (t *target) goroutines(ctx context.Context) float64 {
	g, _ := t.scrape(ctx) // on error it is unknown
	return g.goroutines
}

// rss of the server in bytes, 0 if unknown.
func (t *target) rss() int64 {
	if t.proc == nil {
		return 0
	}
	n, _ := t.proc.rss() // on error it is unknown
	return n
}

// reading is everything at one moment of a run.
type reading struct {
	at        int64
	counts    counts
	accepted  uint64
	server    cpu
	generator cpu
	runtime   gauges
}

// settled is the memory of the server once it has stopped falling: after at least least,
// and after it has changed by less than half a percent for three seconds, or after most.
func (t *target) settled(ctx context.Context, least, most time.Duration) int64 {
	const step, calm = 500 * time.Millisecond, 6
	if t.proc == nil || least == 0 {
		pause(ctx, least)
		return t.rss()
	}
	var samples []int64
	for begun := time.Now(); ; {
		samples = append(samples, t.rss())
		waited := time.Since(begun)
		if n := len(samples); waited >= most || waited >= least && n > calm && isFlat(samples[n-calm:]) {
			return samples[n-1]
		}
		if !pause(ctx, step) {
			return samples[len(samples)-1]
		}
	}
}

func isFlat(samples []int64) bool {
	first, last := samples[0], samples[len(samples)-1]
	return first-last < first/200 && last-first < first/200
}
