package meter

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/jsonscan"
)

// The types of events (views 7.1).
const (
	eventEstablished = "connection_established"
	eventClosed      = "connection_closed"
	eventCreated     = "subscription_created"
	eventRemoved     = "subscription_removed"
	eventSnapshot    = "snapshot_sent"
	eventUpdate      = "update_sent"
)

// batch is a list of envelopes in wire form, without its end.
type batch struct {
	body   []byte
	events int
}

func (b *batch) append(id uuid.UUID, now time.Time, kind string, members func(encoder) encoder) {
	dst := b.body
	if b.events == 0 {
		dst = append(dst, `{"events":[`...)
	} else {
		dst = append(dst, ',')
	}
	dst = append(append(append(dst, `{"event_id":"`...), id.String()...), `","occurred_at_ms":`...)
	dst = strconv.AppendInt(dst, now.UnixMilli(), 10)
	dst = append(append(append(dst, `,"event":{"type":"`...), kind...), '"')
	b.body = append(members(encoder(dst)), "}}"...)
	b.events++
}

// json is the batch as it is sent. The batch may still grow afterwards.
func (b *batch) json() []byte { return append(slices.Clip(b.body), "]}"...) }

// countEvents counts the events of a batch in wire form. Inside a string the quotes would be escaped.
func countEvents(body []byte) int { return bytes.Count(body, []byte(`{"event_id":"`)) }

// encoder appends members to an object that has one already.
type encoder []byte

func (e encoder) name(name string) encoder {
	return append(append(append(e, ',', '"'), name...), '"', ':')
}

func (e encoder) text(name, value string) encoder {
	return jsonscan.AppendString(e.name(name), value)
}

// optional is null when there is no value: consumers want every member (views 7.1).
func (e encoder) optional(name, value string) encoder {
	if value == "" {
		return append(e.name(name), "null"...)
	}
	return e.text(name, value)
}

func (e encoder) number(name string, value int) encoder {
	return strconv.AppendInt(e.name(name), int64(value), 10)
}

func (e encoder) seconds(name string, d time.Duration) encoder {
	return strconv.AppendFloat(e.name(name), d.Seconds(), 'f', -1, 64)
}

func (e encoder) identity(id Identity) encoder {
	return e.text("client_id", id.ClientID).optional("deployment_id", id.DeploymentID).
		optional("metering_key", id.MeteringKey).optional("subject", id.Subject)
}
