package app

import "time"

// DefaultLimits are the limits of an app that sets none (pusher 7.1).
func DefaultLimits() Limits {
	return Limits{
		MaxSubscriptionsPerConnection: 10_000,

		MaxClientEvents:       10,
		ClientEventWindow:     time.Second,
		MessageWindow:         time.Minute,
		MaxPresenceMembers:    100,
		MaxPresenceMemberSize: 2 << 10,
		MaxChannelNameLength:  200,
		MaxChannelsPerPublish: 100,
		MaxEventNameLength:    200,
		MaxEventPayload:       10 << 10,
		MaxBatchSize:          10,
		CacheTTL:              30 * time.Minute,
		AuthorizationTimeout:  30 * time.Second,
		HistoryAge:            24 * time.Hour,
		RecoveryAge:           2 * time.Minute,
		RecoveryMaxMessages:   100,
	}
}
