package views_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/limit"
	"github.com/millrace/millrace/internal/session/views"
	"github.com/millrace/millrace/internal/testkit"
)

const subscribeList = `{"type":"subscribe","view":"Auction/list"}`

func TestMessagesThatAreMetWithSilence(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	for name, text := range map[string]string{
		"C01 ping":                  `{"type":"ping"}`,
		"C02 ping with more":        `{"type":"ping","x":1}`,
		"C03 not JSON":              `not json`,
		"C03 an array":              `[]`,
		"C03 a number":              `42`,
		"C03 null":                  `null`,
		"C03 an empty object":       `{}`,
		"C07 a type in capitals":    `{"type":"Subscribe"}`,
		"C08 take is a string":      `{"type":"subscribe","view":"Auction/list","take":"3"}`,
		"C08 take is below zero":    `{"type":"subscribe","view":"Auction/list","take":-1}`,
		"C08 take is a fraction":    `{"type":"subscribe","view":"Auction/list","take":1.5}`,
		"C09 key is a number":       `{"type":"subscribe","view":"Auction/list","key":17}`,
		"C14 no such view":          `{"type":"subscribe","view":"Nope/list"}`,
		"C15 case matters":          `{"type":"subscribe","view":"auction/list"}`,
		"C19 never subscribed":      `{"type":"unsubscribe","view":"Auction/list"}`,
		"C19 nor to one entity":     `{"type":"unsubscribe","view":"Auction/list","key":"a"}`,
		"R13 refresh without token": `{"type":"refresh_auth"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.connect(t, "")
			c.send(text)
			c.wantSilence()
			c.subscribed("Auction/append") // others work
		})
	}
}

func TestC04ABinarySubscribeIsIgnored(t *testing.T) {
	t.Parallel()
	c := newStack(t, nil).connect(t, "")
	if err := c.Send(testkit.Binary, []byte(subscribeList)); err != nil {
		t.Fatal(err)
	}
	c.wantSilence()
}

func TestMessagesThatSubscribe(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.mutate(t, "a", `{"n":1}`)
	const subscribed = `{"op":"subscribed","view":"Auction/list","mode":"list","sort":{"field":["_seq"],"order":"desc"}}`
	for name, text := range map[string]string{
		"C05 without a type":          `{"view":"Auction/list"}`,
		"C06 of an unknown type":      `{"type":"bogus","view":"Auction/list"}`,
		"C10 null is absent":          `{"type":"subscribe","view":"Auction/list","key":null,"take":null,"after":null}`,
		"C11 filters mean nothing":    `{"type":"subscribe","view":"Auction/list","filters":{"a":"b"},"x":1}`,
		"C12 snake case is unknown":   `{"type":"subscribe","view":"Auction/list","with_snapshot":false}`,
		"C10 refresh without a token": `{"type":"refresh_auth","view":"Auction/list"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.connect(t, "")
			c.send(text)
			c.wantBinary(subscribed)
			c.wantBinary(`{"op":"snapshot","complete":true}`)
			c.wantSilence()
		})
	}
}

func TestC13WithoutASnapshotChangesFollow(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.mutate(t, "a", `{"n":1}`)
	c := s.connect(t, "")
	c.send(`{"type":"subscribe","view":"Auction/list","withSnapshot":false}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantSilence()
	s.mutate(t, "a", `{"n":2}`)
	c.wantBinary(`{"op":"patch","key":"a","data":{"n":2}}`)
}

func TestC14AnUnknownViewIsReportedWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	c := newStack(t, func(o *settings) { o.ReportUnknownViews = true }).connect(t, "")
	c.send(`{"type":"subscribe","view":"Nope/list"}`)
	c.wantText(`{"type":"error","code":"internal-error","retryable":true,"fatal":false}`)
	c.subscribed("Auction/list")
}

func TestC16TheSameSubscribeAgainChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	c := s.connect(t, "")
	c.subscribed("Auction/list")
	c.send(subscribeList)
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch","key":"a"}`)
	c.wantSilence()
}

func TestC17AnotherWindowOfTheSameViewTakesThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.mutate(t, "low", `{"bid":{"amount":1}}`)
	s.mutate(t, "high", `{"bid":{"amount":2}}`)
	c := s.connect(t, "")
	c.send(`{"type":"subscribe","view":"Auction/top"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantBinary(`{"op":"snapshot","complete":true}`)
	c.send(`{"type":"subscribe","view":"Auction/top","take":1}`)
	c.wantBinary(`{"op":"subscribed","view":"Auction/top"}`)
	c.wantEach(`{"op":"delete","key":"low"}`, `{"op":"snapshot","complete":true}`)
	c.wantSilence()
	s.mutate(t, "low", `{"title":"Lamp"}`)
	c.wantSilence()
	s.mutate(t, "high", `{"title":"Chair"}`)
	c.wantBinary(`{"entity":"Auction/top","key":"high"}`)
	c.wantSilence()
}

func TestC18AfterUnsubscribeNothingComes(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	c := s.connect(t, "")
	c.subscribed("Auction/list")
	c.send(`{"type":"unsubscribe","view":"Auction/list"}`)
	c.wantSilence()
	s.mutate(t, "a", `{"n":1}`)
	c.wantSilence()
	c.send(subscribeList) // C21
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantBinary(`{"op":"snapshot","complete":true}`)
}

func TestC20UnsubscribeWithoutAKeyLeavesKeyedSubscriptions(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	c := s.connect(t, "")
	c.subscribed("Auction/list")
	c.send(`{"type":"subscribe","view":"Auction/list","key":"a"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantBinary(`{"op":"snapshot"}`)
	c.wantBinary(`{"op":"delete","key":"a"}`)
	c.send(`{"type":"unsubscribe","view":"Auction/list"}`)
	c.wantSilence()
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch","key":"a"}`)
	c.wantSilence()
}

func TestC22TheNumberOfSubscriptionsIsLimited(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	c := s.connect(t, valid(t, claims{"limits": map[string]any{"max_subscriptions": 2}}))
	c.subscribed("Auction/list")
	c.subscribed("Auction/append")
	const refused = `{"type":"error","error":"subscription-limit-exceeded","code":"subscription-limit-exceeded","retryable":true,"fatal":false}`
	c.send(`{"type":"subscribe","view":"Auction/top"}`)
	c.wantText(refused)
	c.send(subscribeList) // also what is subscribed to already is held to it first
	c.wantText(refused)
	s.mutate(t, "a", `{"n":1}`)
	c.wantEach(`{"op":"patch","entity":"Auction/list"}`, `{"op":"patch","entity":"Auction/append"}`)
	c.send(`{"type":"unsubscribe","view":"Auction/append"}`)
	c.subscribed("Auction/top")
}

func TestSnapshotRowsAreLimited(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	for _, key := range []string{"a", "b", "c"} {
		s.mutate(t, key, `{"n":1}`)
	}
	allowed := claims{"limits": map[string]any{"max_snapshot_rows": 2, "max_subscriptions": 1}}
	tests := []struct {
		name, text string
		want       []string // binary
		isRefused  bool
	}{
		{"C23 more rows than allowed", subscribeList, []string{`{"op":"subscribed"}`}, true},
		{"C24 as many as allowed", `{"view":"Auction/list","snapshotLimit":2}`, []string{`{"op":"subscribed"}`, `{"op":"snapshot","complete":true}`}, false},
		{"C25 no snapshot", `{"view":"Auction/list","withSnapshot":false}`, []string{`{"op":"subscribed"}`}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.connect(t, valid(t, allowed))
			c.send(tt.text)
			for _, want := range tt.want {
				c.wantBinary(want)
			}
			if !tt.isRefused {
				c.wantSilence() // by now it is subscribed
				s.mutate(t, "a", `{"n":2}`)
				c.wantBinary(`{"op":"patch"}`)
				return
			}
			c.wantText(`{"type":"error","code":"snapshot-limit-exceeded","fatal":false}`)
			s.mutate(t, "a", `{"n":2}`)
			c.wantSilence()
			c.send(`{"view":"Auction/list","withSnapshot":false}`) // it was not counted
			c.wantBinary(`{"op":"subscribed"}`)
		})
	}
}

func TestATokenThatAllowsNothingOfAKind(t *testing.T) {
	t.Parallel()
	s := newStack(t, signedSessions)
	none := func(name string) string { return valid(t, claims{"limits": map[string]any{name: 0}}) }
	c := s.connect(t, none("max_subscriptions"))
	c.send(subscribeList)
	c.wantText(`{"code":"subscription-limit-exceeded","fatal":false}`)
	c = s.connect(t, none("max_snapshot_rows"))
	c.send(subscribeList)
	c.wantText(`{"code":"snapshot-limit-exceeded","fatal":false}`)
	s.wantRefusal(t, path, bearer(none("max_connections")), refusal{429, "connection-limit-exceeded", true, false})
	c = s.connect(t, none("max_messages_per_minute"))
	c.send(`{"type":"ping"}`)
	c.wantText(`{"code":"rate-limit-exceeded","fatal":true}`)
	c = s.connect(t, none("max_bytes_per_minute"))
	c.send(subscribeList)
	c.wantText(`{"code":"egress-limit-exceeded","fatal":true}`)
}

func TestInboundBudget(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*settings)
		claim  claims
		wait   string
	}{
		{"C26 of the token", func(*settings) {}, claims{"limits": map[string]any{"max_messages_per_minute": 3}}, "60"},
		{"C28 of the server", func(o *settings) { o.Limits.MaxMessages = 3 }, nil, "60"},
		{"of the server with a window of its own", func(o *settings) {
			o.Limits.MaxMessages, o.Limits.BudgetWindow = 3, 30*time.Second
		}, nil, "30"},
		{"the rate of messages", func(o *settings) {
			o.Limits.MessagesPerConnection = limit.Rate{Max: 2, Burst: 1, Per: 61*time.Second - 50*time.Millisecond} // told in whole seconds
		}, nil, "60"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now() // it stands still, so that no second ends in between
			c := newStack(t, func(o *settings) {
				o.registry.Now = func() time.Time { return now }
				tt.change(o)
				signedSessions(o)
			}).connect(t, valid(t, tt.claim))
			var pings []byte
			for range 4 {
				pings = testkit.AppendFrame(pings, testkit.Text, []byte(`{"type":"ping"}`))
			}
			if err := c.SendRaw(pings); err != nil {
				t.Fatal(err)
			}
			c.wantText(`{"type":"error","code":"rate-limit-exceeded","retryable":true,"retry_after":` + tt.wait + `,"fatal":true}`)
			c.wantClose(1008, "rate-limit-exceeded: too many messages")
		})
	}
}

func TestC27BinaryMessagesAndPingsAreFree(t *testing.T) {
	t.Parallel()
	c := newStack(t, func(o *settings) { o.Limits.MaxMessages = 3 }).connect(t, "")
	for range 10 {
		for _, op := range []byte{testkit.Binary, testkit.Ping} {
			if err := c.Send(op, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 10 {
		if f, err := c.Next(waitLimit); err != nil || f.Opcode != testkit.Pong {
			t.Fatalf("got opcode %d, %v; want a pong", f.Opcode, err)
		}
	}
	c.wantSilence()
}

func TestTheRateOfSubscribesIsNotFatal(t *testing.T) {
	t.Parallel()
	c := newStack(t, func(o *settings) { o.Limits.SubscribesPerConnection = limit.Rate{Max: 1, Per: time.Minute} }).connect(t, "")
	c.subscribed("Auction/append")
	c.send(`{"type":"subscribe","view":"Auction/state","key":"a\"b"}`)
	c.wantText(`{"type":"error","code":"rate-limit-exceeded","retryable":true,"fatal":false,"view":"Auction/state","key":"a\"b",` +
		`"message":"Too many subscribes on this connection: \"Auction/state\", key \"a\\\"b\""}`)
	c.send(subscribeList)
	c.wantText(`{"type":"error","code":"rate-limit-exceeded","view":"Auction/list","message":"Too many subscribes on this connection: \"Auction/list\""}`)
	c.wantSilence()
}

// However many snapshots are asked for at once, all come, at the pace that is allowed, and
// what changes meanwhile comes once.
func TestSnapshotsArePacedAndNeverRefused(t *testing.T) {
	t.Parallel()
	const keys = 150
	for name, change := range map[string]func(*views.Limits){
		"by rows":  func(l *views.Limits) { l.Snapshots.Rows = 100 },
		"by bytes": func(l *views.Limits) { l.Snapshots.Bytes = 100 * 130 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *settings) { change(&o.Limits) })
			var all []string
			for i := range keys {
				all = append(all, strconv.Itoa(i))
			}
			s.mutateAll(t, all...)
			c := s.connect(t, "")
			begun := time.Now()
			for _, key := range all {
				c.send(`{"type":"subscribe","view":"Auction/state","key":"` + key + `"}`)
			}
			var changes []entity.Mutation
			for _, key := range all {
				changes = append(changes, entity.Mutation{Type: "Auction", Key: key, Data: []byte(`{"n":2}`)})
			}
			s.apply(t, changes...)
			snapshots, upToDate := map[string]int{}, map[string]bool{}
			for len(snapshots) < keys || len(upToDate) < keys {
				f, err := c.Next(waitLimit)
				if err != nil {
					t.Fatalf("%d snapshots, %d rows up to date: %v", len(snapshots), len(upToDate), err)
				}
				text := unzip(t, f.Payload)
				if f.Opcode != testkit.Binary {
					t.Fatalf("got %s", text)
				}
				var m struct {
					Op, Key string
					Data    json.RawMessage
				}
				var rows []struct {
					Key  string
					Data json.RawMessage
				}
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					t.Fatal(err)
				}
				if m.Op == "snapshot" {
					if err := json.Unmarshal(m.Data, &rows); err != nil || len(rows) != 1 {
						t.Fatalf("%s: %v", text, err)
					}
					m.Key, m.Data = rows[0].Key, rows[0].Data
					snapshots[m.Key]++
				}
				if m.Op != "subscribed" && matches(t, string(m.Data), `{"n":2}`) {
					upToDate[m.Key] = true
				}
			}
			if took := time.Since(begun); took < 300*time.Millisecond {
				t.Errorf("a second's worth and a half came in %v", took)
			}
			for key, n := range snapshots {
				if n != 1 {
					t.Errorf("%d snapshots of %s", n, key)
				}
			}
			c.wantSilence()
		})
	}
}

func TestC29TheEgressBudgetIsUsedUpToItsLastWholeFrame(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*settings){
		"of the token":  func(*settings) {},
		"of the server": func(o *settings) { o.Limits.MaxBytes = 500 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, func(o *settings) {
				change(o)
				signedSessions(o)
			})
			var claim claims
			if name == "of the token" {
				claim = claims{"limits": map[string]any{"max_bytes_per_minute": 500}}
			}
			c := s.connect(t, valid(t, claim))
			c.send(subscribeList)
			received := 0
			for n := 0; ; n++ {
				f, err := c.Next(waitLimit)
				if err != nil {
					t.Fatal(err)
				}
				if f.Opcode == testkit.Text {
					if !matches(t, string(f.Payload), `{"code":"egress-limit-exceeded","fatal":true}`) {
						t.Errorf("got %s", f.Payload)
					}
					break
				}
				received += len(f.Payload)
				s.mutate(t, "a", `{"n":`+strconv.Itoa(n)+`}`)
			}
			c.wantClose(1013, "throttled: egress budget used")
			if received > 500 || received < 300 {
				t.Errorf("received %d bytes of data", received)
			}
		})
	}
}

// TestC30PingsKeepAConnectionOpen begins again, with more time, when the machine has left so much of it
// between two pings that the connection could have ended rightly.
func TestC30PingsKeepAConnectionOpen(t *testing.T) {
	t.Parallel()
	for timeout := 2 * time.Second; !pingsKeepOpen(t, timeout); timeout *= 2 {
		t.Logf("too slow for %v", timeout)
	}
}

// pingsKeepOpen pings for longer than the idle timeout. It reports false when that shows nothing.
func pingsKeepOpen(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	dialled := time.Now()
	c := newStack(t, func(o *settings) { o.IdleTimeout = timeout }).connect(t, "")
	tick := time.NewTicker(timeout / 10)
	defer tick.Stop()
	for last, begun := dialled, dialled; time.Since(begun) < timeout*3/2; {
		<-tick.C
		err := c.Send(testkit.Ping, nil)
		var f testkit.Frame
		if err == nil {
			f, err = c.Next(waitLimit)
		}
		now := time.Now()
		if now.Sub(last) > timeout/2 {
			return false
		}
		if err != nil || f.Opcode != testkit.Pong {
			t.Fatalf("got opcode %d %s, %v", f.Opcode, f.Payload, err)
		}
		last = now
	}
	return true
}

func TestC31SilenceEndsAConnection(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.IdleTimeout = 300 * time.Millisecond })
	p, err := testkit.DialPeer(s.addr, path, nil, testkit.AppendFrame(nil, testkit.Text, []byte(subscribeList)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Cut)
	c := client{p, t}
	c.wantBinary(`{"op":"subscribed","view":"Auction/list"}`)
	c.wantBinary(`{"op":"snapshot","complete":true}`)
	c.wantClose(1001, "idle: no traffic")
}

func TestC32AMessageThatIsTooLarge(t *testing.T) {
	t.Parallel()
	c := newStack(t, nil).connect(t, "")
	_ = c.SendText(strings.Repeat("x", 1<<20)) // it may be cut while this is written
	if f, err := c.Next(waitLimit); err != nil || f.CloseCode() != 1009 {
		t.Errorf("got opcode %d, code %d, %v; want close 1009", f.Opcode, f.CloseCode(), err)
	}
}

func TestC33AColonDoesNotMakeTwoSubscriptionsOne(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	for _, id := range []string{"a", "a:b"} {
		s.define(t, `{"id":"`+id+`","source":"Auction/list","sort":[{"field":"n","order":"asc"}]}`)
	}
	c := s.connect(t, "")
	for _, text := range []string{`{"view":"a:b","key":"c"}`, `{"view":"a","key":"b:c"}`} {
		c.send(text)
		c.wantBinary(`{"op":"subscribed"}`)
		c.wantBinary(`{"op":"snapshot"}`)
	}
	s.mutate(t, "x", `{"n":1}`)
	c.wantEach(`{"entity":"a:b","key":"x"}`, `{"entity":"a","key":"x"}`)
	c.send(`{"type":"unsubscribe","view":"a","key":"b:c"}`)
	c.wantSilence()
	s.mutate(t, "x", `{"n":2}`)
	c.wantBinary(`{"entity":"a:b","key":"x"}`)
	c.wantSilence()
}

func TestC34AStarIsAKeyLikeAnyOther(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	c := s.connect(t, "")
	c.send(`{"type":"subscribe","view":"Auction/list","key":"*"}`)
	c.wantBinary(`{"op":"subscribed"}`)
	c.wantBinary(`{"op":"snapshot"}`)
	c.wantBinary(`{"op":"delete","key":"*"}`)
	s.mutate(t, "x", `{"n":1}`)
	c.wantSilence()
}
