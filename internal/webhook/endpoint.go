package webhook

import (
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/app"
)

// Endpoint is one webhook of an app.
type Endpoint = app.Webhook

const maxID = 128 // bytes of an endpoint's id

// Problem is one thing wrong with an endpoint. Field is the Go name of the field.
type Problem struct {
	Field   string
	Message string
}

// Validate lists everything wrong with an endpoint: nil means that it may be set.
func Validate(e *Endpoint) []Problem {
	var found []Problem
	report := func(bad bool, field, format string, args ...any) {
		if bad {
			found = append(found, Problem{field, fmt.Sprintf(format, args...)})
		}
	}
	report(e.ID == "", "ID", "missing")
	report(len(e.ID) > maxID, "ID", "has %d bytes; use at most %d", len(e.ID), maxID)
	if err := checkURL(e.URL); err != nil {
		report(true, "URL", "%v", err)
	}
	report(len(e.EventTypes) == 0, "EventTypes", "missing; name the events to send, such as %q", KindChannelOccupied)
	for _, name := range e.EventTypes {
		_, isKnown := ParseKind(name)
		report(!isKnown, "EventTypes", "there is no event %q; use %s", name, kindNames())
	}
	if _, err := regexp.Compile(e.Filter.ChannelPattern); err != nil {
		report(true, "Filter.ChannelPattern", "is no regular expression: %v", err)
	}
	report(slices.Contains(e.Filter.Exclude, ""), "Filter.Exclude", "has an empty prefix, with which every name begins; name one such as %q", EncryptedPrefix)
	for name, value := range e.Headers {
		if problem := checkHeader(name, value); problem != "" {
			report(true, "Headers", "%q %s", name, problem)
		}
	}
	slices.SortStableFunc(found, func(a, b Problem) int { // a map has no order
		if a.Field == "Headers" && b.Field == "Headers" {
			return strings.Compare(a.Message, b.Message)
		}
		return 0
	})
	report(!isPosition(e.Retry.Enabled), "Retry.Enabled", "is %q; use on, off or inherit", e.Retry.Enabled)
	report(!isPosition(e.Batching.Enabled), "Batching.Enabled", "is %q; use on, off or inherit", e.Batching.Enabled)
	report(e.RequestTimeout < 0, "RequestTimeout", "below zero")
	report(e.Retry.MaxAttempts < 0, "Retry.MaxAttempts", "below zero")
	report(e.Retry.MaxElapsed < 0, "Retry.MaxElapsed", "below zero")
	report(e.Retry.InitialBackoff < 0, "Retry.InitialBackoff", "below zero")
	report(e.Retry.MaxBackoff < 0, "Retry.MaxBackoff", "below zero")
	report(e.Batching.Duration < 0, "Batching.Duration", "below zero")
	report(e.Batching.Size < 0 || e.Batching.Size > MaxBatch, "Batching.Size", "must be from 1 to %d", MaxBatch)
	return found
}

func isPosition(s app.Switch) bool {
	return s == "" || s == app.SwitchInherit || s == app.SwitchOn || s == app.SwitchOff
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("missing")
	case err != nil:
		return errors.Unwrap(err) // without the URL, which may hold a secret
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("has no host")
	default:
		return nil
	}
}

// checkHeader says what is wrong with a header; "" means nothing.
func checkHeader(name, value string) string {
	isToken := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r)
	})
	if !isToken {
		return "is no name of a header"
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Te", "Expect":
		return "belongs to the transport; leave it out"
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "has a value with a control character"
	}
	return ""
}
