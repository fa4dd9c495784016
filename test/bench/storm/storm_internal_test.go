package storm

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
			w := &witnesses{seen: make([]bool, 4)}
			if !tt.isCalm {
				w.expect()
			}
			for _, e := range tt.told {
				w.removed(e.channel, 2, e.user)
			}
			got := w.told()
			got.last = time.Time{}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(testimony{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeftIsWhatCameToWhatWasThere(t *testing.T) {
	t.Parallel()
	before := map[string]float64{"millrace_session_connections": 20, "millrace_channel_occupied_channels": 10, "millrace_channel_subscriptions": 20}
	after := map[string]float64{
		"millrace_session_connections": 20, "millrace_session_cleanup_waiting": 3,
		"millrace_channel_occupied_channels": 11, "millrace_channel_subscriptions": 25,
	}
	if diff := cmp.Diff(Left{Connections: 3, Channels: 1, Subscriptions: 5}, left(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What went wrong with the effects of a storm is a fault, and slowness is none.
func TestAStormThatIsNotCleanIsAFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*Storm)
		fault  string
	}{
		{"all is well", func(*Storm) {}, ""},
		{"the others waited for long", func(s *Storm) { s.During.P99 = 1e9 }, ""},
		{"one was not told", func(s *Storm) { s.Removed-- }, "1 members are gone and the others were not told"},
		{"one was told twice", func(s *Storm) { s.Doubled++ }, "said to be gone twice"},
		{"one was told who was not there", func(s *Storm) { s.Stray++ }, "who were not there"},
		{"a channel is left", func(s *Storm) { s.Left.Channels++ }, "1 channels were left over"},
		{"a webhook was lost", func(s *Storm) { s.Webhooks.Gone-- }, "1 webhooks that a connection is gone are missing"},
		{"an earlier webhook was lost", func(s *Storm) { s.Webhooks.Came-- }, "1 webhooks that a connection came are missing"},
		{"a webhook came twice", func(s *Storm) { s.Webhooks.Doubled++ }, "1 webhooks were sent twice"},
		{"a webhook was wrong", func(s *Storm) { s.Webhooks.Stray++ }, "1 webhooks told of what was not so"},
		{"the crowd was cut from another server", func(s *Storm) { *s = Storm{IsBeside: true, Members: 100} }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Storm{Members: 100, Removed: 100, Webhooks: &Hooks{Expected: 151, Came: 151, Gone: 151}}
			tt.change(s)
			err := s.Err()
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("got %v, want %q", err, tt.fault)
			}
		})
	}
}
