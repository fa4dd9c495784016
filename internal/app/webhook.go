package app

import "time"

// Webhook is one endpoint that is told what happens in the channels of an app
// (pusher 6.3); package webhook validates it. Two webhooks with the same URL
// are independent.
type Webhook struct {
	ID         string // unique within the app; what waits for an endpoint follows its ID
	URL        string // http or https
	EventTypes []string
	Filter     WebhookFilter
	Headers    map[string]string // added; those that package webhook sets are left out

	Retry          WebhookRetry    // zero fields: as the server
	Batching       WebhookBatching // zero fields: as the server
	RequestTimeout time.Duration   // zero: as the server
}

// WebhookFilter selects channels; all conditions that are set must hold. Events of users
// have no channel, so it does not concern them.
type WebhookFilter struct {
	ChannelPrefix  string
	ChannelSuffix  string
	ChannelPattern string   // a regular expression (RE2), found anywhere in the name
	Namespaces     []string // the part of the name, without its prefix of kind, before the first colon
	Exclude        []string // not of channels whose names begin with one of these
}

// WebhookRetry says when a failed request is repeated.
type WebhookRetry struct {
	Enabled        Switch        // default on
	MaxAttempts    int           // of one batch; default no bound
	MaxElapsed     time.Duration // from the first attempt on; default 5 min
	InitialBackoff time.Duration // default 1 s, doubled each time
	MaxBackoff     time.Duration // default 60 s
}

// WebhookBatching says how many events go into one request.
type WebhookBatching struct {
	Enabled  Switch        // default on; otherwise each request has one event
	Duration time.Duration // how long the first event of a batch waits for others; default 50 ms
	Size     int           // events of a request, at most 1000; default 100
}
