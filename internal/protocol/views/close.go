package views

import (
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/protocol"
)

// Reasons of a close that are no issue (views 1.8). Clients take the word before the
// colon for a code. Without these words in them, a reason lets clients come back: "rate
// limit", "rate-limit", "quota", "limit exceeded".
const (
	CloseSlowConsumer = "slow-consumer: resync"         // 1013
	CloseThrottled    = "throttled: egress budget used" // 1013
	CloseShutdown     = "going-away: restart"           // 1001
	CloseIdle         = "idle: no traffic"              // 1001
)

// CodeOf is the word before the colon of a reason.
func CodeOf(reason string) string {
	code, _, _ := strings.Cut(reason, ":")
	return code
}

const maxReason = 123 // bytes, RFC 6455 5.5

// CloseReason is the reason of a close because of i: its code and a text, or its own message
// when text is empty, cut at a character to what a close frame holds.
func CloseReason(i *protocol.Issue, text string) string {
	if text == "" {
		text = i.Message
	}
	reason := i.Code + ": " + text
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}
