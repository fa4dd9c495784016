package app

import "strings"

// Problem is one thing wrong with an app. Field is the Go name of the field.
type Problem struct {
	Field   string
	Message string
}

// Validate lists everything wrong with a: nil means it may be registered.
func Validate(a *App) []Problem {
	var found []Problem
	report := func(bad bool, field, message string) {
		if bad {
			found = append(found, Problem{field, message})
		}
	}
	report(a.ID == "", "ID", "missing")
	report(a.Key == "", "Key", "missing")
	report(a.Secret == "", "Secret", "missing")
	report(hasControl(a.ID), "ID", "holds a control character")
	report(hasControl(a.Key), "Key", "holds a control character")
	for _, alias := range a.Aliases {
		report(alias == "" || hasControl(alias), "Aliases", "one is empty or holds a control character")
	}
	for _, c := range a.Credentials {
		report(c.Key == "" || hasControl(c.Key), "Credentials", "a key is missing or holds a control character")
		report(c.Secret == "", "Credentials", "a secret is missing")
		report(!c.Rights.IsValid(), "Credentials", "rights must be all, publish or read")
	}

	l := a.Limits
	for _, n := range []struct {
		field string
		value int
	}{
		{"MaxConnections", l.MaxConnections},
		{"MaxSubscriptionsPerConnection", l.MaxSubscriptionsPerConnection},
		{"MaxBackendEventsPerSecond", l.MaxBackendEventsPerSecond},
		{"MaxReadRequestsPerSecond", l.MaxReadRequestsPerSecond},
		{"MaxClientEvents", l.MaxClientEvents},
		{"MaxMessages", l.MaxMessages},
		{"MaxPresenceMembers", l.MaxPresenceMembers},
		{"MaxPresenceMemberSize", l.MaxPresenceMemberSize},
		{"MaxChannelsPerPublish", l.MaxChannelsPerPublish},
		{"MaxEventNameLength", l.MaxEventNameLength},
		{"MaxEventPayload", l.MaxEventPayload},
		{"MaxBatchSize", l.MaxBatchSize},
		{"HistoryMaxMessages", l.HistoryMaxMessages},
		{"HistoryMaxBytes", l.HistoryMaxBytes},
	} {
		report(n.value < 0, n.field, "below zero; zero means unlimited")
	}
	report(l.MaxChannelNameLength <= 0, "MaxChannelNameLength", "must be above zero")
	report(l.ClientEventWindow <= 0, "ClientEventWindow", "must be above zero")
	report(l.MessageWindow <= 0, "MessageWindow", "must be above zero")
	report(l.CacheTTL <= 0, "CacheTTL", "must be above zero")
	report(a.Features.RequireAuthorized && l.AuthorizationTimeout <= 0,
		"AuthorizationTimeout", "must be above zero where authorization is required")
	report(a.Features.History && l.HistoryAge <= 0, "HistoryAge", "must be above zero")
	report(a.Features.Recovery && l.RecoveryAge <= 0, "RecoveryAge", "must be above zero")
	report(a.Features.Recovery && l.RecoveryMaxMessages <= 0, "RecoveryMaxMessages", "must be above zero")
	report(l.UserAuthenticationTimeout < 0, "UserAuthenticationTimeout", "below zero; zero asks for no authorization")
	return found
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
