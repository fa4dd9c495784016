package views_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/protocol"
	codec "github.com/millrace/millrace/internal/protocol/views"
	"github.com/millrace/millrace/internal/testkit"
	"github.com/millrace/millrace/internal/token"
)

func TestS09ShutdownSaysComeBack(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	clients := []client{s.connect(t, ""), s.connect(t, "")}
	clients[0].subscribed("Auction/list")
	s.draining.Store(true)
	s.registry.Drain(t.Context(), 0)
	if n := s.registry.Len(); n != 0 {
		t.Errorf("%d are left", n)
	}
	for _, c := range clients {
		c.wantClose(1001, "going-away: restart")
	}
}

func TestReadmitEndsWhoWasAdmittedByAnotherAuthenticator(t *testing.T) {
	t.Parallel()
	var present atomic.Value
	s := newStack(t, func(o *settings) {
		signedSessions(o)
		present.Store(o.Authenticator(testkit.AppID))
		o.Authenticator = func(string) token.Authenticator {
			a, _ := present.Load().(token.Authenticator)
			return a
		}
	})
	c := s.connect(t, valid(t, nil))
	c.subscribed("Auction/list")
	s.sessions.Readmit() // nothing has changed
	s.mutate(t, "a", `{"n":1}`)
	c.wantBinary(`{"op":"patch","key":"a"}`)
	settings := settings{sessions: token.SignedOptions{App: testkit.AppID, Issuer: issuer, Audience: "another", Keys: ring(t)}}
	signedSessions(&settings)
	present.Store(settings.Authenticator(testkit.AppID))
	s.sessions.Readmit()
	c.wantClose(1001, "going-away: restart")
}

// TestS05ASlowSnapshotHoldsUpNothingElse asks while the first frame of a snapshot waits, which is more
// than kernels take, so that the server stays congested until the client reads.
func TestS05ASlowSnapshotHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	const first, entities = 16, 19 // 16 MB, then 1 MB a frame
	s := newStack(t, func(o *settings) {
		o.Codec = codec.Codec{Threshold: -1}
		o.Endpoint.StallTimeout = waitLimit
		o.view.FirstBatch, o.view.NextBatch, o.view.MaxBatchBytes = first, 1, 1<<30
	})
	large := `{"text":"` + strings.Repeat("x", 1_000_000) + `"}`
	for i := range entities {
		s.mutate(t, strconv.Itoa(i), large)
	}
	c := s.connect(t, "")
	c.send(subscribeList)
	s.waitForWaiting(t, 1_000_000)
	c.send(`{"type":"ping"}`, refresh("x"), `{"type":"subscribe","view":"Auction/append","withSnapshot":false}`)
	rows, before := 0, -1 // what is asked is read between the frames that the client takes
	for isComplete := false; !isComplete; {
		f, err := c.Next(waitLimit)
		if err != nil {
			t.Fatal(err)
		}
		if f.Opcode == testkit.Text && before < 0 {
			before = rows
		}
		rows += bytes.Count(f.Payload, []byte(`{"key":`))
		isComplete = bytes.HasSuffix(f.Payload, []byte(`"complete":true}`))
	}
	if rows != entities {
		t.Errorf("the snapshot has %d rows, want %d", rows, entities)
	}
	if before != first {
		t.Errorf("the answer to what was asked came after %d rows, want %d (-1: after the snapshot)", before, first)
	}
	s.waitForSubscriptions(t, "Auction/append", 1)
}

func TestS06ASlowConsumerIsToldAndCut(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) {
		o.Limits.MaxConnectionsPerIP = 1
		o.Endpoint.MaxQueueFrames, o.Endpoint.StallTimeout = 4, time.Millisecond
	})
	c := s.connect(t, "")
	var questions []byte
	for range 1000 {
		questions = testkit.AppendFrame(questions, testkit.Text, []byte(refresh("x")))
	}
	for s.registry.Len() > 0 { // answers that nobody reads
		if c.SendRaw(questions) != nil {
			break
		}
	}
	s.waitForLen(t, 0)
	s.connect(t, "").wantSilence() // its place is free
	for {
		f, err := c.Next(waitLimit)
		if err != nil { // the end, or a reset because what it sent was not read any more
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the socket is still open")
			}
			return
		}
		if f.Opcode == testkit.Close && (f.CloseCode() != 1013 || f.CloseReason() != "slow-consumer: resync") {
			t.Errorf("got close %d %q", f.CloseCode(), f.CloseReason())
		}
	}
}

// panickyCodec panics on one word.
type panickyCodec struct{ codec.Codec }

func (c panickyCodec) Decode(payload []byte) (protocol.Command, *protocol.Error) {
	if bytes.Contains(payload, []byte("dynamite")) {
		panic("boom")
	}
	return c.Codec.Decode(payload)
}

func TestAPanicCostsItsConnectionAndNoOther(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(o *settings) { o.Codec = panickyCodec{} })
	bystander, victim := s.connect(t, ""), s.connect(t, "")
	victim.send("dynamite")
	victim.wantClose(1011, "internal error")
	bystander.subscribed("Auction/list")
	s.waitForLen(t, 1)
	s.stop()
	for _, want := range []string{"panic on a connection", "boom", "protocol=views"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not hold %q:\n%s", want, s.log)
		}
	}
}

func TestAClientThatClosesIsAnswered(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	c := s.connect(t, "")
	c.subscribed("Auction/list")
	if err := c.Send(testkit.Close, []byte("\x03\xe8token refresh")); err != nil {
		t.Fatal(err)
	}
	if f, err := c.Next(waitLimit); err != nil || f.CloseCode() != 1000 {
		t.Errorf("got opcode %d, code %d, %v; want close 1000", f.Opcode, f.CloseCode(), err)
	}
	s.waitForLen(t, 0)
	if _, err := c.Next(waitLimit); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end of the connection", err)
	}
}
