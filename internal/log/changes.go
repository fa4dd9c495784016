package log

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// Changes is what a batch of mutations makes of the entities of an app. Every node that follows the log installs it.
type Changes struct {
	Number uint64 // dense from 1 in the partition
	ID     string // of the batch: one that is asked for again is applied once; empty: the batch has a Feed
	TTL    int64  // milliseconds for which the id is known
	Feed   *Feed  // from which the batch was made; nil: the batch has an ID
	Seq    string // the position that its publisher is told
	Body   []byte // decisions as package entity stores them; empty: nothing changes
}

// Feed is the publication of a channel from which a batch of the same app was made.
type Feed struct {
	Topic protocol.Topic
	Place Place
	Term  Term // in which it was published; zero: its topic is logged
}

// problem says what is wrong with c, empty if nothing is.
func (c *Changes) problem(app string) string {
	f := c.Feed
	switch {
	case c.Number == 0:
		return "its number is zero"
	case (c.ID == "") == (f == nil):
		return "its batch has neither an id nor a feed, or both"
	case len(c.ID) > maxName || len(c.Seq) > maxName:
		return fmt.Sprintf("the id of its batch or its position is longer than %d bytes", maxName)
	case c.TTL < 0 || c.ID == "" && c.TTL > 0:
		return "its batch has no id, and a time for it; or the time is negative"
	case f == nil:
		return ""
	case f.Topic.App != app || f.Topic.Name == "" || len(f.Topic.Name) > maxName || f.Topic.Kind >= protocol.NumTopicKinds:
		return "the topic of its feed is of another app, of an unknown kind, or has no name or a long one"
	case f.Place.Serial == 0 || len(f.Place.StreamID) > maxStreamID || f.Place.StreamID == "" && f.Term == 0:
		return "the place of its feed has no serial, no stream although it is logged, or a long stream id"
	}
	return ""
}

// size is about how many bytes c takes when it is stored.
func (c *Changes) size() int {
	n := len(c.ID) + len(c.Seq) + len(c.Body)
	if c.Feed != nil {
		n += len(c.Feed.Topic.Name) + len(c.Feed.Place.StreamID)
	}
	return n
}

// appendChanges appends the stored form: the number, the id and, with one, its time; without one the kind and the name of the
// topic of the feed, the stream id, the serial and the term; then the position and the body.
func appendChanges(body []byte, c *Changes) []byte {
	body = varint.Append(binary.AppendUvarint(body, c.Number), c.ID)
	if f := c.Feed; f == nil {
		body = binary.AppendUvarint(body, uint64(c.TTL)) //nolint:gosec // problem has refused a negative one
	} else {
		body = varint.Append(varint.Append(append(body, byte(f.Topic.Kind)), f.Topic.Name), f.Place.StreamID)
		body = binary.AppendUvarint(binary.AppendUvarint(body, f.Place.Serial), uint64(f.Term))
	}
	return varint.Append(varint.Append(body, c.Seq), c.Body)
}

// changes reads what appendChanges has appended.
func (r *groupReader) changes(app string) *Changes {
	c := &Changes{Number: r.Uvarint(), ID: r.Text()}
	if c.ID != "" {
		c.TTL = int64(r.Uvarint()) //nolint:gosec // check refuses a negative one
	} else {
		c.Feed = &Feed{Topic: protocol.Topic{App: app, Kind: protocol.TopicKind(r.Byte())}}
		if r.Err == nil && c.Feed.Topic.Kind >= protocol.NumTopicKinds {
			r.Err = fmt.Errorf("%w (feed of %s)", ErrNewer, c.Feed.Topic.Kind)
		}
		c.Feed.Topic.Name, c.Feed.Place.StreamID = r.Text(), r.Text()
		c.Feed.Place.Serial, c.Feed.Term = r.Uvarint(), Term(r.Uvarint())
	}
	c.Seq = r.Text()
	if body := r.Bytes(); len(body) > 0 {
		c.Body = slices.Clip(body)
	}
	return c
}
