package room_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/room"
)

func socketID(n int) protocol.SocketID {
	id, _ := protocol.ParseSocketID(fmt.Sprintf("%d.1", n))
	return id
}

func member(userID, info string) *protocol.Member {
	return &protocol.Member{UserID: userID, Info: []byte(info)}
}

func sorted(members []protocol.Member) []protocol.Member {
	slices.SortFunc(members, func(a, b protocol.Member) int { return strings.Compare(a.UserID, b.UserID) })
	return members
}

func TestInfoIsOfTheOldestLiveConnection(t *testing.T) {
	t.Parallel()
	var s room.Members
	s.Join(socketID(1), member("u-9", `1`))
	s.Join(socketID(2), member("u-9", `2`))
	s.Join(socketID(3), member("u-9", `3`))
	for _, step := range []struct {
		leave int
		want  string
	}{{0, `1`}, {2, `1`}, {1, `3`}} {
		s.Leave(socketID(step.leave))
		if diff := cmp.Diff([]protocol.Member{*member("u-9", step.want)}, s.List()); diff != "" {
			t.Errorf("after %d left (-want +got):\n%s", step.leave, diff)
		}
	}
}

func TestJoiningTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	var s room.Members
	s.Join(socketID(1), member("u-9", `1`))
	if s.Join(socketID(1), member("u-3", `2`)) {
		t.Error("the second join was a first")
	}
	if diff := cmp.Diff([]protocol.Member{*member("u-9", `1`)}, s.List()); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if m, last := s.Leave(socketID(1)); m.UserID != "u-9" || !last {
		t.Errorf("got %v, %v; want u-9, true", m, last)
	}
}

func TestLeaveOfAnUnknownConnection(t *testing.T) {
	t.Parallel()
	var s room.Members
	if m, last := s.Leave(socketID(1)); m.UserID != "" || last {
		t.Errorf("got %v, %v; want no member", m, last)
	}
	if s.Has("") || s.Len() != 0 || len(s.List()) != 0 {
		t.Error("the set is not empty")
	}
}

// naive is the specification: all connections in the order in which they joined.
type naive []naiveConn

type naiveConn struct {
	id protocol.SocketID
	protocol.Member
}

func (n naive) members() []protocol.Member {
	var out []protocol.Member
	for _, c := range n {
		if !slices.ContainsFunc(out, func(m protocol.Member) bool { return m.UserID == c.UserID }) {
			out = append(out, c.Member)
		}
	}
	return sorted(out)
}

// shown is the member as its oldest connection says.
func (n naive) shown(userID string) protocol.Member {
	return n[slices.IndexFunc(n, func(c naiveConn) bool { return c.UserID == userID })].Member
}

func (n naive) has(userID string) bool {
	return slices.ContainsFunc(n, func(c naiveConn) bool { return c.UserID == userID })
}

func (n naive) find(id protocol.SocketID) int {
	return slices.IndexFunc(n, func(c naiveConn) bool { return c.id == id })
}

func TestMembersAgreeWithModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s room.Members
		var model naive
		id := rapid.Custom(func(t *rapid.T) protocol.SocketID { return socketID(rapid.IntRange(1, 12).Draw(t, "n")) })
		user := rapid.SampledFrom([]string{"", "u-1", "u-2", "u-3"})
		for n := range rapid.IntRange(0, 12).Draw(t, "from the beginning") { // few, or a crowd
			m := member(user.Draw(t, "user"), `{}`)
			s.Join(socketID(n+1), m)
			model = append(model, naiveConn{socketID(n + 1), *m})
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				id, m := id.Draw(t, "id"), member(user.Draw(t, "user"), rapid.SampledFrom([]string{`{}`, `1`}).Draw(t, "info"))
				m.HasNumericID = rapid.Bool().Draw(t, "numeric")
				known := model.find(id) >= 0
				want := !known && !model.has(m.UserID)
				if !known {
					model = append(model, naiveConn{id, *m})
				}
				if got := s.Join(id, m); got != want {
					t.Fatalf("join of %v as %q: got first %v, want %v", id, m.UserID, got, want)
				}
			},
			"leave": func(t *rapid.T) {
				id := id.Draw(t, "id")
				var want protocol.Member
				var wantLast bool
				if i := model.find(id); i >= 0 {
					want = model.shown(model[i].UserID)
					model = slices.Delete(model, i, i+1)
					wantLast = !model.has(want.UserID)
				}
				m, last := s.Leave(id)
				if diff := cmp.Diff(want, m); diff != "" || last != wantLast {
					t.Fatalf("leave of %v: got last %v, want %v; (-want +got):\n%s", id, last, wantLast, diff)
				}
			},
			"": func(t *rapid.T) {
				got := sorted(s.List())
				if diff := cmp.Diff(model.members(), got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("members (-want +got):\n%s", diff)
				}
				if s.Len() != len(got) {
					t.Fatalf("got length %d, want %d", s.Len(), len(got))
				}
				for _, c := range model {
					if diff := cmp.Diff(model.shown(c.UserID), s.Member(c.id)); diff != "" {
						t.Fatalf("member of %v (-want +got):\n%s", c.id, diff)
					}
					if diff := cmp.Diff(c.Member, s.Said(c.id)); diff != "" {
						t.Fatalf("what %v said (-want +got):\n%s", c.id, diff)
					}
				}
				for _, u := range []string{"", "u-1", "u-2", "u-3"} {
					if s.Has(u) != model.has(u) {
						t.Fatalf("got has(%q) %v", u, s.Has(u))
					}
				}
			},
		})
	})
}

func TestWhatAConnectionSaysInManySetsIsKeptOnce(t *testing.T) {
	id, m := socketID(1), member("u-9", `{"name":"Ida"}`)
	var s room.Members
	if got := testing.AllocsPerRun(100, func() {
		s = room.Members{}
		s.Join(id, m)
	}); got > 0 {
		t.Errorf("%v objects for one connection, want none but the set", got)
	}
	s.Join(socketID(2), member("u-9", `{"name":"Ida"}`))
	if first, second := s.Said(id), s.Said(socketID(2)); &first.Info[0] != &second.Info[0] {
		t.Error("what two connections of a user say alike is kept twice")
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	var s room.Members
	for i := range 10_000 {
		s.Join(socketID(i+1), member(fmt.Sprintf("u-%d", i%5000), `{}`))
	}
	id, m := socketID(1_000_000), member("u-77", `{}`)
	b.ReportAllocs()
	for b.Loop() {
		s.Join(id, m)
		s.Leave(id)
	}
}
