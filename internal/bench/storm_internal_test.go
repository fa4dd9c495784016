package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWitnessesCountEachMemberOnce(t *testing.T) {
	t.Parallel()
	type told struct {
		channel int
		user    string
	}
	tests := []struct {
		name   string
		isCalm bool // nobody was cut yet
		told   []told
		want   testimony
	}{
		{"each in its channel", false, []told{{0, "member-0"}, {0, "member-1"}, {1, "member-2"}}, testimony{removed: 3}},
		{"the same again is a double", false, []told{{0, "member-1"}, {0, "member-1"}}, testimony{removed: 1, doubled: 1}},
		{"in another channel it is out of place", false, []told{{1, "member-1"}}, testimony{stray: 1}},
		{"a witness does not go", false, []told{{0, "witness"}}, testimony{stray: 1}},
		{"who is not in the crowd does not go", false, []told{{2, "member-4"}, {0, "member--1"}, {0, "member-x"}}, testimony{stray: 3}},
		{"before the cut nobody goes", true, []told{{0, "member-0"}}, testimony{stray: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &witnesses{clock: clock{time.Now()}, seen: make([]bool, 4)}
			if !tt.isCalm {
				w.expect(1)
			}
			for _, e := range tt.told {
				w.removed(e.channel, 2, e.user)
			}
			got := w.told()
			got.last = 0
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(testimony{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStormFigures(t *testing.T) {
	t.Parallel()
	good := Storm{
		Crowd: 150, Members: 100, Removed: 100,
		Quiet: Latency{Count: 1000, P99: 1000}, During: Latency{Count: 500, P99: 2900},
	}
	tests := []struct {
		name   string
		change func(*Storm)
		isMet  []bool
		fault  string
	}{
		{"all is well", func(*Storm) {}, []bool{true, true, true}, ""},
		{"those who stay wait as long as at the floor", func(s *Storm) { s.During.P99 = 3000 }, []bool{true, true, true}, ""},
		{"those who stay wait longer than at the floor", func(s *Storm) { s.During.P99 = 3100 }, []bool{false, true, true}, ""},
		{"nothing was delivered meanwhile", func(s *Storm) { s.During = Latency{} }, []bool{false, true, true}, ""},
		{"one was not told", func(s *Storm) { s.Removed-- }, []bool{true, false, true}, "1 members are gone and nobody was told"},
		{"one was told twice", func(s *Storm) { s.Doubled++ }, []bool{true, false, true}, "said to be gone twice"},
		{"a channel is left", func(s *Storm) { s.Left.Channels++ }, []bool{true, false, true}, "1 channels were left over"},
		{"a webhook was lost", func(s *Storm) { s.Webhooks.Gone-- }, []bool{true, true, false}, "1 webhooks that somebody is gone are missing"},
		{"an earlier webhook was lost", func(s *Storm) { s.Webhooks.Came-- }, []bool{true, true, false}, "1 webhooks that somebody came are missing"},
		{"a webhook came twice", func(s *Storm) { s.Webhooks.Doubled++ }, []bool{true, true, false}, "1 webhooks were sent twice"},
		{"a webhook was wrong", func(s *Storm) { s.Webhooks.Stray++ }, []bool{true, true, false}, "1 webhooks told of what was not so"},
		{"no webhook was awaited", func(s *Storm) { *s.Webhooks = StormHooks{} }, []bool{true, true, false}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storm := good
			storm.Webhooks = &StormHooks{Expected: 151, Came: 151, Gone: 151}
			tt.change(&storm)
			result := &Result{Storm: &storm}
			beside := Storm{IsBeside: true, During: Latency{Count: 500, P99: 3000}}
			for i, f := range stormFigures(&storm, &beside, 1) {
				if f.IsMet != tt.isMet[i] {
					t.Errorf("%s: met is %v, want %v", f.What, f.IsMet, tt.isMet[i])
				}
			}
			err := result.Err()
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("got %v, want %q", err, tt.fault)
			}
		})
	}
}

func TestLeftIsWhatCameToWhatWasThere(t *testing.T) {
	t.Parallel()
	before := parseCounters([]byte("millrace_session_connections 20\nmillrace_channel_occupied_channels 10\nmillrace_channel_subscriptions 20\n"))
	after := parseCounters([]byte("millrace_session_connections 20\nmillrace_session_cleanup_waiting 3\nmillrace_channel_occupied_channels 11\nmillrace_channel_subscriptions 25\n"))
	if diff := cmp.Diff(Left{Connections: 3, Channels: 1, Subscriptions: 5}, left(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
