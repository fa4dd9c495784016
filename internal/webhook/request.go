package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// MaxBatch is how many events a request may have at most.
const MaxBatch = 1000

// Names of the headers that a request has whatever its endpoint says.
const (
	HeaderKey       = "X-Pusher-Key"
	HeaderSignature = "X-Pusher-Signature"
	HeaderDelivery  = "X-Millrace-Delivery"
	HeaderTime      = "X-Millrace-Time"
	HeaderType      = "Content-Type"
)

// staleAfter is how old the oldest event may be for time_ms to say when it happened. The official
// Python library takes a request only while time_ms is within five minutes of its own clock.
const staleAfter = 4 * time.Minute

// Body makes the body of a request at the time of now: events are JSON objects with commas
// between, and at is when the oldest of them happened, in Unix milliseconds. The body stays the
// same until the events are stale: from then on time_ms is the time of the request.
func Body(events []byte, at int64, now time.Time) []byte {
	if ms := now.UnixMilli(); ms-at > staleAfter.Milliseconds() {
		at = ms
	}
	dst := make([]byte, 0, len(events)+48)
	dst = append(dst, `{"time_ms":`...)
	dst = strconv.AppendInt(dst, at, 10)
	dst = append(dst, `,"events":[`...)
	dst = append(dst, events...)
	return append(dst, "]}"...)
}

// Sign makes the signature of a body: lower-case hex HMAC-SHA256 (pusher 6.2).
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Lane is one of the two orders in which an endpoint is sent events. The official libraries in PHP
// and Go decrypt the events of encrypted channels, and refuse the whole request if one of these has
// no data to decrypt, as no event of such a channel has. In a lane of their own they spoil no
// request with other events, and a receiver that refuses them holds up no other event. All events
// of one channel take the same lane, so they keep their order.
type Lane uint8

// The lanes of an endpoint.
const (
	LaneUsual Lane = iota
	LaneEncrypted

	NumLanes
)

// EncryptedPrefix begins the names of encrypted channels.
const EncryptedPrefix = "private-encrypted-"

// LaneOf finds the lane of the events of a channel.
func LaneOf(channel string) Lane {
	if strings.HasPrefix(channel, EncryptedPrefix) {
		return LaneEncrypted
	}
	return LaneUsual
}
