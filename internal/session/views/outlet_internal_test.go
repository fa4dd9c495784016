package views

import (
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/bufpool"
	"github.com/millrace/millrace/internal/limit"
	codec "github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/session"
	"github.com/millrace/millrace/internal/token"
	"github.com/millrace/millrace/internal/websocket"
)

// segments makes one segment for each list of payload sizes.
func segments(sizes ...[]int) []bufpool.Segment {
	var segs []bufpool.Segment
	for _, frames := range sizes {
		b := bufpool.Get(0)
		b.B = append(b.B, "before"...) // a segment need not begin its buffer
		start := len(b.B)
		for _, n := range frames {
			b.B = websocket.AppendFrame(b.B, websocket.OpBinary, make([]byte, n))
		}
		segs = append(segs, bufpool.Segment{Buf: b, Start: start, End: len(b.B), Frames: len(frames)})
	}
	return segs
}

func TestCutCountsPayloadsUpToTheFirstFrameThatIsTooMuch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		sizes  [][]int
		want   [][]int // frames of the segments that are left, by size
		isAll  bool
		budget int64
	}{
		{"all fit exactly", [][]int{{100, 200}, {200}}, [][]int{{100, 200}, {200}}, true, 500},
		{"headers do not count", [][]int{{125, 125, 125, 125}}, [][]int{{125, 125, 125, 125}}, true, 500},
		{"the cut is within a segment", [][]int{{100}, {200, 201, 1}}, [][]int{{100}, {200}}, false, 500},
		{"the cut is between segments", [][]int{{500}, {1}}, [][]int{{500}}, false, 500},
		{"nothing fits", [][]int{{501}}, nil, false, 500},
		{"a smaller frame behind does not slip through", [][]int{{400, 200, 50}}, [][]int{{400}}, false, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := outlet{Sessions: New(Options{
				Table: session.New(session.Options{}), Codec: codec.Codec{},
				Limits: Limits{BudgetWindow: time.Minute},
			})}
			o.grant.Store(&grant{maxBytes: tt.budget, principal: &token.Principal{}})
			segs := segments(tt.sizes...)
			before := append([]bufpool.Segment(nil), segs...)
			left, isAll := o.cut(segs)
			var got [][]int
			for _, s := range left {
				var frames []int
				for b := s.Bytes(); len(b) > 0; b = b[websocket.FrameLen(b):] {
					h, _, err := websocket.ParseHeader(b)
					if err != nil {
						t.Fatal(err)
					}
					frames = append(frames, h.Length)
				}
				if len(frames) != s.Frames {
					t.Errorf("a segment says that it has %d frames, and has %d", s.Frames, len(frames))
				}
				got = append(got, frames)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || isAll != tt.isAll {
				t.Errorf("all %v, frames (-want +got):\n%s", isAll, diff)
			}
			if again, isAll := o.cut(segments([]int{0})); isAll != tt.isAll || len(again) > 0 != tt.isAll {
				t.Errorf("after the cut %d segments were let through", len(again))
			}
			for i := range segs {
				if segs[i] != before[i] {
					t.Error("the caller's segments were changed")
				}
			}
		})
	}
}

func TestGrantPrefersTheLimitsOfTheToken(t *testing.T) {
	t.Parallel()
	l := Limits{MaxConnectionsPerSubject: 1, MaxSubscriptions: 2, MaxSnapshotRows: 3, MaxMessages: 4, MaxBytes: 5}
	of := func(limits token.Limits) *grant { return l.grant(&token.Principal{Limits: limits}) }
	tests := []struct {
		name   string
		claims token.Limits
		want   grant
	}{
		{"absent: the server's", token.NoLimits(), grant{nil, 1, 2, 3, 4, 5}},
		{"present: the token's", token.Limits{
			MaxConnections: 10, MaxSubscriptions: 20, MaxSnapshotRows: 30, MaxMessagesPerMinute: 40, MaxBytesPerMinute: 50,
		}, grant{nil, 10, 20, 30, 40, 50}},
		{"zero is a limit, not none", token.Limits{}, grant{nil, limit.None, limit.None, limit.None, limit.None, limit.None}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := *of(tt.claims)
			got.principal = nil
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestExpiryIsTheFirstMomentThatIsTooLate(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	g := grant{principal: &token.Principal{Expires: at}}
	if g.hasExpired(at.Add(-1)) || !g.hasExpired(at) || (&grant{principal: &token.Principal{}}).hasExpired(at) {
		t.Error("a token is good until, not at, its expiry; without one, always")
	}
}

func TestAppKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, want string
		ok               bool
	}{
		{"one segment is the key", "/views/mill-key", "mill-key", true},
		{"what is below means nothing", "/views/mill-key/a/b", "mill-key", true},
		{"a slash at the end", "/views/mill-key/", "mill-key", true},
		{"it is percent-decoded", "/views/mill%2Dkey", "mill-key", true},
		{"an encoded slash is part of the key", "/views/a%2Fb/c", "a/b", true},
		{"nothing below", "/views", "", false},
		{"an empty segment", "/views//x", "", false},
		{"another path", "/app/mill-key", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := appKey(tt.path)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %q, %v; want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestAClientWhoReadsTooSlowlyIsToldToComeBack(t *testing.T) {
	t.Parallel()
	ss := New(Options{Table: session.New(session.Options{}), Codec: codec.Codec{}})
	if f := ss.endpoint.SlowConsumer; f.Code != 1013 || f.Reason != "slow-consumer: resync" || f.Message != nil {
		t.Errorf("got %+v", f)
	}
}

// What an idle session costs beside its socket.Conn: itself, its grant and principal.
func TestSessionIsSmall(t *testing.T) {
	t.Parallel()
	const max = 416
	if got := unsafe.Sizeof(Session{}); got > max {
		t.Errorf("Session has %d bytes, want at most %d", got, max)
	}
}
