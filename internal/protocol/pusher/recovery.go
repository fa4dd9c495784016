package pusher

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/jsonscan"
	"github.com/millrace/millrace/internal/protocol"
)

const nameResume = "resume"

// decodeResume reads the positions of a resume (v2 3.1). The older form counts only without the present one.
func decodeResume(data jsonscan.Value) (protocol.Command, *protocol.Error) {
	c := protocol.Command{Kind: protocol.CommandResume}
	data, ok := object(data)
	if !ok {
		return c, protocol.ErrMalformed.Withf("A resume needs data: an object with channel_positions")
	}
	var positions, serials jsonscan.Value
	for key, value := range data.Members() {
		switch key {
		case "channel_positions":
			positions = value
		case "channel_serials":
			serials = value
		}
	}
	read := readPosition
	if !positions.IsGiven() {
		positions, read = serials, readSerial
	}
	if positions.Kind() != jsonscan.Object {
		return c, protocol.ErrMalformed.Withf("A resume needs data.channel_positions: an object with a position for each channel")
	}
	for channel, value := range positions.Members() {
		r := protocol.Resume{Channel: strings.Clone(channel)} // valid for its step only
		if !read(&r, value) {
			return c, protocol.ErrMalformed.Withf("The position of a channel needs serial, a whole number; stream_id and last_message_id are strings")
		}
		c.Resume = append(c.Resume, r)
	}
	if len(c.Resume) == 0 {
		return c, protocol.ErrResumeEmpty
	}
	return c, nil
}

// object reads data given as an object or as a string with the JSON text of one.
func object(data jsonscan.Value) (_ jsonscan.Value, ok bool) {
	if data.Kind() == jsonscan.String {
		if data, ok = jsonscan.Parse([]byte(data.Text())); !ok {
			return nil, false
		}
	}
	return data, data.Kind() == jsonscan.Object
}

func readSerial(r *protocol.Resume, v jsonscan.Value) (ok bool) {
	r.IsSerialAlone = true
	r.Serial, ok = serial(v)
	return ok
}

func readPosition(r *protocol.Resume, v jsonscan.Value) bool {
	if v.Kind() != jsonscan.Object {
		return false
	}
	hasSerial := false
	for key, value := range v.Members() {
		ok := true
		switch key {
		case "serial":
			r.Serial, ok = serial(value)
			hasSerial = true
		case "stream_id":
			r.StreamID, ok = text(value)
		case "last_message_id":
			r.LastMessageID, ok = text(value)
		}
		if !ok {
			return false
		}
	}
	return hasSerial
}

// text reads a string, or null as none.
func text(v jsonscan.Value) (string, bool) {
	return v.Text(), v.Kind() == jsonscan.String || v.Kind() == jsonscan.Null
}

// serial reads a whole number, or a string with its digits.
func serial(v jsonscan.Value) (uint64, bool) {
	digits := string(v)
	if v.Kind() == jsonscan.String {
		digits = v.Text()
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// past reads what a subscribe asks of the past: rewind and since, nil where they are not given.
func (f *fields) past(c *protocol.Command) *protocol.Error {
	if f.rewind != nil {
		var ok bool
		if c.Rewind, ok = readRewind(f.rewind); !ok {
			return protocol.ErrMalformed.Withf("rewind is a whole number above zero, or an object with count or seconds")
		}
	}
	if f.since.IsGiven() {
		c.Since = &protocol.Resume{Channel: c.Channel}
		if !readPosition(c.Since, f.since) {
			return protocol.ErrMalformed.Withf("since is an object with serial, a whole number, and stream_id, a string")
		}
	}
	return nil
}

// readRewind reads a rewind (v2 3.6).
func readRewind(v jsonscan.Value) (*protocol.Rewind, bool) {
	if v.Kind() != jsonscan.Object {
		n, ok := amount(v)
		return &protocol.Rewind{Count: n}, ok
	}
	var count, seconds, duration jsonscan.Value
	for key, value := range v.Members() {
		switch key {
		case "count":
			count = value
		case "seconds":
			seconds = value
		case "duration_seconds":
			duration = value
		}
	}
	if count != nil {
		n, ok := amount(count)
		return &protocol.Rewind{Count: n}, ok
	}
	if seconds == nil {
		seconds = duration
	}
	n, ok := amount(seconds)
	return &protocol.Rewind{Age: time.Duration(min(n, int(math.MaxInt64/time.Second))) * time.Second}, ok
}

// amount reads a whole number above zero, or a string with its digits.
func amount(v jsonscan.Value) (int, bool) {
	n, ok := serial(v)
	return int(min(n, math.MaxInt)), ok && n > 0
}
