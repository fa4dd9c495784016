package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/doctor"
	"github.com/millrace/millrace/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testApp() doctor.App {
	return doctor.App{ID: testkit.AppID, Key: testkit.Key, Secret: testkit.Secret}
}

// of are the findings of one check, as "status: text".
func of(findings []doctor.Finding, check string) string {
	var list []string
	for _, f := range findings {
		if f.Check == check {
			list = append(list, string(f.Status)+": "+f.Text)
		}
	}
	return strings.Join(list, "\n")
}

func expect(t *testing.T, findings []doctor.Finding, check, want string) {
	t.Helper()
	if got := of(findings, check); !strings.HasPrefix(got, want) {
		t.Errorf("check %s: got %q, want %q", check, got, want)
	}
}

func TestAHealthyServerHasNoProblem(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t, "apps.0.views.entities=Auction", "apps.0.views.auth=open")
	store := t.TempDir()
	locked := errors.New("locked")
	findings := doctor.Run(t.Context(), doctor.Options{
		URL: "http://" + node.Addr(), App: testApp(), IsViewsEnabled: true,
		Listen:        doctor.Listener{Address: node.Addr()},
		MetricsListen: doctor.Listener{Address: node.Server.MetricsAddr().String()},
		Store: &doctor.Store{
			Path: store, Probe: func(context.Context) error { return locked },
			IsLocked:  func(err error) bool { return errors.Is(err, locked) },
			FreeSpace: func(string) (uint64, bool) { return 1 << 40, true },
		},
	})
	for _, f := range findings {
		if f.Status == doctor.Problem || f.Status == doctor.Warning && f.Check != "descriptors" {
			t.Errorf("%+v", f)
		}
	}
	expect(t, findings, "listener", "good: a Millrace serves "+node.Addr())
	expect(t, findings, "metrics listener", "good: a Millrace serves metrics")
	expect(t, findings, "store", "good: "+store+" has 1048576 MB left\ngood: owned by a running server")
	expect(t, findings, "upgrade", "good: ")
	expect(t, findings, "clock", "good: ")
	expect(t, findings, "test event", "good: an event went through")
	expect(t, findings, "test view", "good: Auction/")
	if left, err := filepath.Glob(filepath.Join(store, "*")); err != nil || len(left) > 0 {
		t.Errorf("the doctor left %v (%v)", left, err)
	}
	if err := node.WaitForConnections(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

func TestEveryTroubleIsFoundAndHasAFix(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	inUse, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	stranger.Listener.Close()
	stranger.Listener = inUse
	stranger.Start()
	t.Cleanup(stranger.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)

	degraded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Health-Check", "DEGRADED")
	}))
	t.Cleanup(degraded.Close)

	t.Run("the fix for a key that is wrong is another key", func(t *testing.T) {
		t.Parallel()
		o := doctor.Options{URL: "http://" + node.Addr(), App: testApp()}
		o.App.Key = "other"
		for _, f := range doctor.Run(t.Context(), o) {
			if f.Check == "test event" && !strings.Contains(f.Fix, "the key must be one of an app") {
				t.Errorf("got fix %q", f.Fix)
			}
		}
	})
	healthy := func(o *doctor.Options) { o.URL, o.App = "http://"+node.Addr(), testApp() }
	storeOf := func(free uint64, err error) *doctor.Store {
		return &doctor.Store{
			Path: t.TempDir(), Probe: func(context.Context) error { return err },
			IsLocked:  func(err error) bool { return err.Error() == "locked" },
			IsDamaged: func(err error) bool { return err.Error() == "damaged" },
			FreeSpace: func(string) (uint64, bool) { return free, true },
		}
	}
	tests := []struct {
		name, check, want string
		set               func(*doctor.Options)
	}{
		{
			"a port of somebody else", "listener", "problem: " + inUse.Addr().String() + " is in use by a server that is no Millrace",
			func(o *doctor.Options) { o.Listen.Address = inUse.Addr().String() },
		},
		{
			"an address of another machine", "listener", "problem: no server can listen on [2001:db8::1]:6001: ",
			func(o *doctor.Options) { o.Listen.Address = "[2001:db8::1]:6001" },
		},
		{
			"a server that cannot store", "front door", "warning: " + degraded.URL + " leads to a Millrace that is degraded",
			func(o *doctor.Options) { o.URL = degraded.URL },
		},
		{
			"a metrics port of somebody else", "metrics listener", "problem: ",
			func(o *doctor.Options) { o.MetricsListen.Address = inUse.Addr().String() },
		},
		{
			"too few descriptors for the connections", "descriptors", "problem: this shell may open 1024 descriptors, but websocket.max_connections = 5000 needs 5100",
			func(o *doctor.Options) { o.DescriptorLimit, o.MaxConnections = 1024, 5000 },
		},
		{
			"a database of apps that is down", "registry", "problem: connection refused",
			func(o *doctor.Options) {
				o.Registry = func(context.Context) error { return errors.New("connection refused") }
			},
		},
		{
			"few descriptors and no limit", "descriptors", "warning: ",
			func(o *doctor.Options) { o.DescriptorLimit = 1024 },
		},
		{
			"a full disk", "store", "problem: ",
			func(o *doctor.Options) { o.Store = storeOf(50<<20, nil) },
		},
		{
			"a disk that will be full", "store", "warning: ",
			func(o *doctor.Options) { o.Store = storeOf(500<<20, nil) },
		},
		{
			"a store of another process", "store", "good: ",
			func(o *doctor.Options) { o.Store = storeOf(1<<40, errors.New("locked")) },
		},
		{
			"nobody behind the URL", "front door", "problem: ",
			func(o *doctor.Options) { o.URL = "http://127.0.0.1:1" },
		},
		{
			"somebody else behind the URL", "front door", "problem: http://" + inUse.Addr().String() + "/up answers with 404, but no Millrace does",
			func(o *doctor.Options) { o.URL = "http://" + inUse.Addr().String() },
		},
		{
			"a certificate that nobody signed", "tls", "problem: the handshake fails: ",
			func(o *doctor.Options) { o.URL = secure.URL },
		},
		{"a clock that is wrong", "clock", "problem: ", func(o *doctor.Options) {
			healthy(o)
			o.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
		}},
		{"a secret that is wrong", "test event", "problem: ", func(o *doctor.Options) { healthy(o); o.App.Secret = "other" }},
		{"a key that is wrong", "test event", "problem: no subscription: subscribe: refused: 4001: ", func(o *doctor.Options) { healthy(o); o.App.Key = "other" }},
		{"everybody is trusted", "forwarded headers", "warning: ", func(o *doctor.Options) { o.TrustedProxies = []string{"0.0.0.0/0"} }},
		{"a collector that is not there", "endpoints", "problem: usage.endpoint is not reached", func(o *doctor.Options) {
			o.Endpoints = []doctor.Endpoint{{Name: "usage.endpoint", URL: "http://127.0.0.1:1/events?token=hidden"}}
		}},
		{"a key set that is none", "endpoints", "problem: jwks holds no JWKS document", func(o *doctor.Options) {
			o.Endpoints = []doctor.Endpoint{{Name: "jwks", URL: "http://" + inUse.Addr().String(), IsKeySet: true}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var o doctor.Options
			tt.set(&o)
			findings := doctor.Run(t.Context(), o)
			expect(t, findings, tt.check, tt.want)
			for _, f := range findings {
				if strings.Contains(f.Text, "hidden") {
					t.Errorf("%q holds a secret", f.Text)
				}
				if needsFix := f.Status == doctor.Warning || f.Status == doctor.Problem; needsFix != (f.Fix != "") {
					t.Errorf("a fix is there or not: %+v", f)
				}
			}
			if want := strings.HasPrefix(tt.want, "problem"); want && !doctor.HasProblem(findings) {
				t.Error("no problem at all")
			}
		})
	}
}

// proxyTo is a proxy before a node that treats requests with change, and answers with answered
// if that is given.
func proxyTo(t *testing.T, node *testkit.Node, change func(*http.Request), answered func(*http.Response) error) string {
	t.Helper()
	target := &url.URL{Scheme: "http", Host: node.Addr()}
	p := &httputil.ReverseProxy{ModifyResponse: answered, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		change(r.Out)
	}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

func TestProxiesAreJudgedByWhatComesThrough(t *testing.T) {
	t.Parallel()
	node := testkit.Start(t)
	run := func(url string) []doctor.Finding {
		return doctor.Run(t.Context(), doctor.Options{URL: url, App: testApp(), Listen: doctor.Listener{Address: node.Addr()}})
	}
	good := run(proxyTo(t, node, func(*http.Request) {}, nil))
	expect(t, good, "upgrade", "good: ")
	expect(t, good, "test event", "good: ")
	expect(t, good, "forwarded headers", "warning: clients come through a proxy whose X-Forwarded-For is not trusted")

	bad := run(proxyTo(t, node, func(r *http.Request) {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
	}, nil))
	expect(t, bad, "front door", "good: ")
	expect(t, bad, "upgrade", "problem: the Upgrade header does not come through")
}

func TestAPrefixThatAProxyStripsIsSeen(t *testing.T) {
	t.Parallel()
	strip := func(r *http.Request) { r.URL.Path = strings.TrimPrefix(r.URL.Path, "/realtime") }
	keep := func(*http.Request) {}
	tests := []struct {
		name, prefix string
		proxy        func(*http.Request)
		want         string // of the front door
		event        string // of the test event
	}{
		{"stripped, and the server does not know it", "", strip, "good: PROXY/realtime leads to a Millrace that is ready\nproblem: the proxy strips /realtime", "problem: "},
		{"stripped, and the server knows it", "/realtime", strip, "good: PROXY/realtime leads to a Millrace that is ready", "good: "},
		{"passed on, and the server does not know it", "", keep, "problem: PROXY/realtime/up answers with 404, but no Millrace does", "skipped: "},
		{"passed on, and the server knows it", "/realtime", keep, "good: PROXY/realtime leads to a Millrace that is ready", "good: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := testkit.Start(t, "http.path_prefix="+tt.prefix)
			proxy := proxyTo(t, node, tt.proxy, nil)
			findings := doctor.Run(t.Context(), doctor.Options{
				URL: proxy + "/realtime", App: testApp(), PathPrefix: tt.prefix, Listen: doctor.Listener{Address: node.Addr()},
			})
			if got, want := of(findings, "front door"), strings.ReplaceAll(tt.want, "PROXY", proxy); !strings.HasPrefix(got, want) ||
				!strings.Contains(want, "problem") && strings.Contains(got, "problem") {
				t.Errorf("got %q, want %q", got, want)
			}
			expect(t, findings, "test event", tt.event)
			for _, f := range findings {
				if tt.prefix == "" && f.Check == "front door" && f.Status == doctor.Problem && !strings.Contains(f.Fix, `http.path_prefix = "/realtime"`) {
					t.Errorf("the fix is not named: %+v", f)
				}
			}
		})
	}
}

// Balancing between nodes that know nothing of each other loses events, and that is seen.
func TestAnEventThatReachesAnotherNodeOnlyIsMissed(t *testing.T) {
	t.Parallel()
	one, other := testkit.Start(t), testkit.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	door := proxyTo(t, one, func(r *http.Request) {
		if r.Method == http.MethodPost {
			r.URL.Host = other.Addr()
		}
	}, func(answer *http.Response) error {
		if answer.Request.Method == http.MethodPost { // it waits for the event from now on
			time.AfterFunc(time.Second, cancel)
		}
		return nil
	})
	findings := doctor.Run(ctx, doctor.Options{URL: door, App: testApp()})
	expect(t, findings, "test event", "problem: an event was published, and its subscriber did not receive it")
}

func TestASocketIsAskedToo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "m.sock")
	testkit.Start(t, "http.listen=unix:"+path)
	o := doctor.Options{Listen: doctor.Listener{Address: "unix:" + path}}
	expect(t, doctor.Run(t.Context(), o), "listener", "good: a Millrace serves unix:"+path)
	o.Listen.Address += ".none"
	expect(t, doctor.Run(t.Context(), o), "listener", "good: "+path+".none is free")
}

func TestWhatIsNotKnownIsSkipped(t *testing.T) {
	t.Parallel()
	findings := doctor.Run(t.Context(), doctor.Options{})
	var others []doctor.Finding
	for _, f := range findings {
		if f.Status != doctor.Skipped {
			others = append(others, f)
		}
	}
	if diff := cmp.Diff([]doctor.Finding(nil), others); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(findings) == 0 {
		t.Error("nothing was looked at")
	}
}
