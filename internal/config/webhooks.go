package config

// Webhooks is how the server tells the backends of apps what happens in their channels. Each setting counts where a webhook has no value of its own.
type Webhooks struct {
	// How long a channel stays vacated, and a member away, before the server tells of it. A channel or member that comes back within this time was never gone.
	Grace Duration `toml:"grace"`
	// The same for users, before user_offline.
	UserGrace Duration `toml:"user_grace"`
	// After a restart: how long channels, members and users that were there before may take to come back, before the server tells that they are gone.
	StartGrace Duration `toml:"start_grace"`
	// Before the server ends, it sends webhooks that all channels are vacated and all members and users are gone, without the graces. When false, and with a store, the next process sends them after start_grace for the users and channels that have not come back, so that a restart is not noticed.
	VacateAtShutdown bool `toml:"vacate_at_shutdown"`
	// Puts several events into one request.
	Batching bool `toml:"batching"`
	// How long the first event of a request waits for others.
	BatchDuration Duration `toml:"batch_duration"`
	// Most events of one request, at most 1000.
	BatchSize int `toml:"batch_size"`
	// Repeats requests that fail: every answer but 2xx, and every network error.
	Retry bool `toml:"retry"`
	// Most attempts at one request, after which it becomes a dead letter. 0 means unlimited.
	MaxAttempts int `toml:"max_attempts"`
	// Time from the first attempt after which a request becomes a dead letter.
	MaxElapsed Duration `toml:"max_elapsed"`
	// Wait after the first failed attempt; it doubles with each further one.
	InitialBackoff Duration `toml:"initial_backoff"`
	// Longest wait between two attempts.
	MaxBackoff Duration `toml:"max_backoff"`
	// Time for one request.
	RequestTimeout Duration `toml:"request_timeout"`
	// Most requests under way, of all webhooks together; each has one at a time.
	MaxRequests int `toml:"max_requests"`
	// Most bytes of events that wait for one webhook; beyond it the oldest become dead letters.
	MaxPending Size `toml:"max_pending"`
	// Most bytes of events that wait for all webhooks of this node.
	MaxPendingTotal Size `toml:"max_pending_total"`
	// Most occupied channels, present members and signed-in users that webhooks follow; the server tells of no further ones.
	MaxSubjects int `toml:"max_subjects"`
	// Most dead letters of one app; the oldest go first.
	MaxDead int `toml:"max_dead"`
	// Most bytes of the dead letters of one app; the oldest go first.
	MaxDeadSize Size `toml:"max_dead_size"`
	// How long dead letters are kept.
	DeadTTL Duration `toml:"dead_ttl"`
}

// Webhook is a URL that the server tells what happens in the channels of an app. Where it says nothing, [webhooks] counts.
type Webhook struct {
	// Names the webhook within its app: what waits for it, and its dead letters, go by this name. Empty means its number in the list, from 1.
	ID string `toml:"id"`
	// Where events are posted to. Required.
	URL string `toml:"url"`
	// Which events: channel_occupied, channel_vacated, member_added, member_removed, client_event, cache_miss, subscription_count, user_online, user_offline. Required.
	EventTypes []string `toml:"event_types"`
	// Tells only of channels whose names begin so. With several conditions a channel must meet them all.
	ChannelPrefix string `toml:"channel_prefix"`
	// Tells only of channels whose names end so.
	ChannelSuffix string `toml:"channel_suffix"`
	// Tells only of channels in whose names this regular expression is found.
	ChannelPattern string `toml:"channel_pattern"`
	// Tells only of channels of these namespaces. A namespace is what stands before the first colon of a name, after the prefix of the kind.
	ChannelNamespaces []string `toml:"channel_namespaces"`
	// Never tells of channels whose names begin with one of these. ["private-encrypted-"] is for receivers whose library cannot read events of encrypted channels.
	ChannelExclude []string `toml:"channel_exclude"`
	// Headers that are added to each request: "name: value".
	Headers []Secret `toml:"headers"`
	// Puts several events into one request: on, off, or inherit.
	Batching string `toml:"batching"`
	// How long the first event of a request waits for others. "0s" inherits, as in all keys below 0 does.
	BatchDuration Duration `toml:"batch_duration"`
	// Most events of one request.
	BatchSize int `toml:"batch_size"`
	// Repeats requests that fail: on, off, or inherit.
	Retry string `toml:"retry"`
	// Most attempts at one request.
	MaxAttempts int `toml:"max_attempts"`
	// Time from the first attempt after which a request becomes a dead letter.
	MaxElapsed Duration `toml:"max_elapsed"`
	// Wait after the first failed attempt.
	InitialBackoff Duration `toml:"initial_backoff"`
	// Longest wait between two attempts.
	MaxBackoff Duration `toml:"max_backoff"`
	// Time for one request.
	RequestTimeout Duration `toml:"request_timeout"`
}
