package audit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRepeatedFailuresAreASuspiciousPattern(t *testing.T) {
	t.Parallel()
	const bad = "token-invalid-signature"
	for _, c := range []struct {
		name string
		fail func(failed func(ip, code string, n int), pass func(time.Duration))
		want int
	}{
		{"nineteen within a minute are none", func(failed func(string, string, int), _ func(time.Duration)) {
			failed("192.0.2.1", bad, maxFailures-1)
		}, 0},
		{"many within a minute are one", func(failed func(string, string, int), _ func(time.Duration)) {
			failed("192.0.2.1", bad, 10*maxFailures)
		}, 1},
		{"they are one again in the next minute", func(failed func(string, string, int), pass func(time.Duration)) {
			failed("192.0.2.1", bad, maxFailures)
			pass(failureWindow)
			failed("192.0.2.1", bad, maxFailures)
		}, 2},
		{"those of different minutes do not add up", func(failed func(string, string, int), pass func(time.Duration)) {
			failed("192.0.2.1", bad, maxFailures-1)
			pass(failureWindow)
			failed("192.0.2.1", bad, maxFailures-1)
		}, 0},
		{"addresses count by themselves", func(failed func(string, string, int), _ func(time.Duration)) {
			failed("192.0.2.1", bad, maxFailures-1)
			failed("192.0.2.2", bad, maxFailures-1)
		}, 0},
		{"those of an IPv6 site count together", func(failed func(string, string, int), _ func(time.Duration)) {
			for i := range maxFailures {
				failed(fmt.Sprintf("2001:db8:0:1::%x", i), bad, 1)
			}
		}, 1},
		{"expired tokens are no guesses", func(failed func(string, string, int), _ func(time.Duration)) {
			failed("192.0.2.1", "token-expired", 10*maxFailures)
		}, 0},
		{"good tokens are no failures", func(failed func(string, string, int), _ func(time.Duration)) {
			failed("192.0.2.1", "", 10*maxFailures)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			now := time.Unix(1_893_450_000, 0)
			l, err := New(Options{Writer: &out, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			c.fail(func(ip, code string, n int) {
				for range n {
					l.AuthAttempt(Source{ClientIP: ip, Path: "/views/a"}, code == "", code, "")
				}
			}, func(d time.Duration) { now = now.Add(d) })
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.Run(ended); err != nil {
				t.Fatal(err)
			}
			const pattern = `"severity":"Critical","event":{"event_type":"suspicious_pattern","pattern_type":"repeated_auth_failures","details":"20 failed attempts within 1m0s; the last: token-invalid-signature"},"client_ip":`
			if got := strings.Count(out.String(), pattern); got != c.want {
				t.Errorf("got %d patterns, want %d in:\n%s", got, c.want, &out)
			}
		})
	}
}
