package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// metricsTimeout bounds one look at the metrics page.
const metricsTimeout = 5 * time.Second

// Server is a server as seen from beside it: its process, if it is local, and its metrics
// page, if it has one. What cannot be seen reads as unknown.
type Server struct {
	process *Process // nil: not local, or not ours to see
	pid     int      // zero: unknown
	page    string   // URL of the metrics page; empty: none
	http    *http.Client
}

// Where says where to look for a server.
type Where struct {
	URL        string
	PID        int    // zero: the process that listens on the port of URL, if that is local
	MetricsURL string // empty: the server has no metrics page
}

// Find looks for a server. The second result says what cannot be measured, and why. The
// caller must call Close.
func Find(ctx context.Context, at Where) (s *Server, missing []error) {
	s = &Server{pid: at.PID, page: at.MetricsURL, http: &http.Client{Timeout: metricsTimeout, Transport: &http.Transport{}}}
	if s.pid == 0 {
		var err error
		if s.pid, err = findServer(ctx, at.URL); err != nil {
			missing = append(missing, fmt.Errorf("no CPU and memory of the server: %w", err))
		}
	}
	if s.pid != 0 {
		p := NewProcess(s.pid)
		if _, err := p.CPU(); err != nil {
			missing = append(missing, fmt.Errorf("no CPU and memory of the server: %w", err))
		} else {
			s.process = &p
		}
	}
	if s.page != "" {
		err := s.checkMetrics(ctx)
		if err == nil {
			_, err = s.Runtime(ctx)
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("no goroutines and allocations of the server: %w", err))
			s.page = ""
		}
	}
	return s, missing
}

// PID is the id of the server's process, zero if it is unknown.
func (s *Server) PID() int { return s.pid }

// HasProcess reports whether CPU and RSS are known.
func (s *Server) HasProcess() bool { return s.process != nil }

// HasPage reports whether there is a metrics page.
func (s *Server) HasPage() bool { return s.page != "" }

// checkMetrics refuses a local metrics page that is known to be another process's.
func (s *Server) checkMetrics(ctx context.Context) error {
	if s.pid == 0 {
		return nil
	}
	if pid, err := findServer(ctx, s.page); err == nil && pid != s.pid {
		return fmt.Errorf("%s is the page of process %d, the server is process %d", s.page, pid, s.pid)
	}
	return nil
}

// Close gives back the connection to the metrics page.
func (s *Server) Close() { s.http.CloseIdleConnections() }

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

// Runtime reads what the metrics page says of the Go runtime.
func (s *Server) Runtime(ctx context.Context) (Gauges, error) {
	if s.page == "" {
		return Gauges{-1, -1}, nil
	}
	page, err := s.get(ctx, s.page)
	if err != nil {
		return Gauges{-1, -1}, err
	}
	return parseGauges(page), nil
}

// Counters reads the values without labels of the metrics page.
func (s *Server) Counters(ctx context.Context) (map[string]float64, error) {
	page, err := s.get(ctx, s.page)
	if err != nil {
		return nil, fmt.Errorf("the server's metrics page: %w", err)
	}
	return parseCounters(page), nil
}

// Heap collects the server's garbage and says what is left, in bytes.
func (s *Server) Heap(ctx context.Context) (n int64, err error) {
	u, err := url.Parse(s.page)
	if err != nil {
		return 0, err
	}
	for range 2 { // pools give up what they hold at the second collection
		profile, err := s.get(ctx, u.Scheme+"://"+u.Host+"/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			return 0, err
		}
		if n, err = parseHeap(profile); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (s *Server) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
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

// Goroutines counts the goroutines of the server, -1 if unknown.
func (s *Server) Goroutines(ctx context.Context) float64 {
	g, _ := s.Runtime(ctx) // on error it is unknown
	return g.Goroutines
}

// CPU reads the time that the server has used so far, zero if unknown.
func (s *Server) CPU() CPU {
	if s.process == nil {
		return CPU{}
	}
	c, _ := s.process.CPU() // on error it is unknown
	return c
}

// RSS reads the resident memory of the server in bytes, 0 if unknown.
func (s *Server) RSS() int64 {
	if s.process == nil {
		return 0
	}
	n, _ := s.process.RSS() // on error it is unknown
	return n
}

// Settled waits for the memory of the server to stop falling and reads it: after at least
// least, and after it has changed by less than half a percent for three seconds, or after most.
func (s *Server) Settled(ctx context.Context, least, most time.Duration) int64 {
	const step, calm = 500 * time.Millisecond, 6
	interval := step
	if s.process == nil || least == 0 {
		interval, most = max(least, 1), least
	}
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	samples := []int64{s.RSS()}
	for begun := time.Now(); time.Since(begun) < most; {
		select {
		case <-ticks.C:
			samples = append(samples, s.RSS())
		case <-ctx.Done():
			return samples[len(samples)-1]
		}
		if n := len(samples); time.Since(begun) >= least && n > calm && isFlat(samples[n-calm:]) {
			break
		}
	}
	return samples[len(samples)-1]
}

func isFlat(samples []int64) bool {
	first, last := samples[0], samples[len(samples)-1]
	return first-last < first/200 && last-first < first/200
}
