package probe

import (
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const tail = " S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 100 200 300\n"
	tests := []struct {
		name, text string
		want       time.Duration
		ok         bool
	}{
		{"a plain name", "42 (millrace)" + tail, 3 * time.Second, true},
		{"a name with brackets and blanks", "42 (a) b (c))" + tail, 3 * time.Second, true},
		{"too short", "42 (millrace) S 1 2", 0, false},
		{"empty", "", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat(tt.text)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

func TestCPUPrefersTheExactClockUnlessAThreadEnded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		ticks, exact time.Duration
		want         time.Duration
	}{
		{"both agree", 1010 * time.Millisecond, 1003 * time.Millisecond, 1003 * time.Millisecond},
		{"a thread ended", 1010 * time.Millisecond, 400 * time.Millisecond, 1010 * time.Millisecond},
		{"no exact clock", 1010 * time.Millisecond, 0, 1010 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := CPU{time.Second, time.Second}
			if got := (CPU{base.ticks + tt.ticks, base.exact + tt.exact}).Since(base); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseMemory(t *testing.T) {
	t.Parallel()
	const rollup = "555fd5260000-7ffd55117000 ---p 00000000 00:00 0  [rollup]\nRss:                1748 kB\nPss:  376 kB\n"
	if got, err := parseRollup(rollup); got != 1748<<10 || err != nil {
		t.Errorf("smaps_rollup: %d, %v", got, err)
	}
	if got, err := parseStatm("1000 437 300 1 0 100 0\n", 4096); got != 437*4096 || err != nil {
		t.Errorf("statm: %d, %v", got, err)
	}
	if got := parseSchedstat("123456789 82683 1\n"); got != 123456789 {
		t.Errorf("schedstat: %d", got)
	}
}

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1771 0100007F:C35A 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1
   2: 00000000:2581 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
`

const tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4715 1 0 100 0 0 10 0
`

func TestParseListener(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, table, address, want string
	}{
		{"the address itself", tcpTable, "127.0.0.1:6001", "4711"},
		{"any address", tcpTable, "127.0.0.1:9601", "4713"},
		{"another address", tcpTable, "127.0.0.2:6001", ""},
		{"a port of nobody", tcpTable, "127.0.0.1:6002", ""},
		{"IPv6 loopback", tcp6Table, "[::1]:8080", "4714"},
		{"an IPv6 socket that takes IPv4 too", tcp6Table, "127.0.0.1:8081", "4715"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseListener(strings.NewReader(tt.table), netip.MustParseAddrPort(tt.address))
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}

func TestParseGauges(t *testing.T) {
	t.Parallel()
	const page = "# HELP go_goroutines Number.\n# TYPE go_goroutines gauge\ngo_goroutines 17\n" +
		"go_memstats_mallocs_total 1.234567e+06\nother{a=\"b\"} 3\n"
	if diff := cmp.Diff(Gauges{17, 1234567}, parseGauges([]byte(page))); diff != "" {
		t.Error(diff)
	}
	if got := parseGauges([]byte("nothing here")); got != (Gauges{-1, -1}) {
		t.Errorf("unknown values are %+v", got)
	}
}

func TestProcessReadsItself(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	p := NewProcess(os.Getpid())
	if n, err := p.RSS(); n < 1<<20 || err != nil {
		t.Errorf("rss %d, %v", n, err)
	}
	if _, err := p.CPU(); err != nil {
		t.Error(err)
	}
}

func TestParsePages(t *testing.T) {
	t.Parallel()
	if n, err := parseHeap([]byte("heap profile: 1: 2 [3: 4] @ heap/1\n# Alloc = 7\n# HeapAlloc = 754072\n")); n != 754072 || err != nil {
		t.Errorf("heap: %d, %v", n, err)
	}
	if _, err := parseHeap([]byte("404")); err == nil {
		t.Error("a page that is no profile has a heap")
	}
	got := parseCounters([]byte("# HELP a b\na 17\nb{x=\"1\"} 2\n"))
	if diff := cmp.Diff(map[string]float64{"a": 17, `b{x="1"}`: 2}, got); diff != "" {
		t.Error(diff)
	}
}
