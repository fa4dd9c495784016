package config

import (
	"fmt"
	"strings"
)

// Views is what live views of all apps are subject to, on this node. In limits 0 means
// unlimited unless said otherwise.
type Views struct {
	// Serves live views, at /views/{app key} and in the HTTP API. Otherwise the server knows channels only.
	Enabled bool `toml:"enabled"`
	// Id of the app whose views are served to WebSocket connections on any path that means nothing else, for clients that connect to the bare host. Empty serves none.
	DefaultApp string `toml:"default_app"`

	// Elements that an entity keeps of an array, the newest.
	ArrayLimit int `toml:"array_limit"`
	// Largest entity, as JSON. Above zero.
	EntityMaxSize Size `toml:"entity_max_size"`
	// Deepest nesting of an entity. Above zero.
	EntityMaxDepth int `toml:"entity_max_depth"`
	// Longest key of an entity, in bytes. A subscription with a longer one is refused. Above zero.
	EntityMaxKey int `toml:"entity_max_key"`
	// Most mutations in one batch. Above zero.
	MaxBatch int `toml:"max_batch"`
	// Most bytes of mutations that wait to be applied; further ones get 503. Above zero.
	MaxWaiting Size `toml:"max_waiting"`
	// Deleted entities that are remembered per type, so that a client that comes back is told of the deletion.
	MaxTombstones int `toml:"max_tombstones"`
	// How long the answer to an idempotency_key is remembered. Above zero.
	IdempotencyTTL Duration `toml:"idempotency_ttl"`

	// Rows of a sorted view for a client that does not say how many, where the definition does not either. Above zero.
	DefaultWindow int `toml:"default_window"`
	// Entities in the first message of a snapshot. Above zero.
	SnapshotBatchFirst int `toml:"snapshot_batch_first"`
	// Entities in its following messages. Above zero.
	SnapshotBatchNext int `toml:"snapshot_batch_next"`
	// Size at which a message of a snapshot is closed early. Above zero.
	SnapshotBatchBytes Size `toml:"snapshot_batch_bytes"`
	// Rows of snapshots that one connection gets in a second; further rows wait. 0 means unlimited, as does rate_limiting_enabled = false.
	SnapshotRowsPerSecond int `toml:"snapshot_rows_per_second"`
	// Bytes of snapshots that one connection gets in a second; further bytes wait. 0 means unlimited, as does rate_limiting_enabled = false.
	SnapshotBytesPerSecond Size `toml:"snapshot_bytes_per_second"`
	// Least size of a message that is compressed.
	CompressionThreshold Size `toml:"compression_threshold"`
	// Most rows in the answer to one read over HTTP. Above zero.
	ReadMaxRows int `toml:"read_max_rows"`

	// A connection whose client sends nothing for so long is closed with 1001. Clients send something every 15 s. Above zero.
	ClientTimeout Duration `toml:"client_timeout"`
	// Largest message a client may send; a larger one closes its connection with 1009. Above zero.
	MaxMessage Size `toml:"max_message"`
	// Most bytes that may wait for a slow reader, where one message may wait alone, whatever its size; more closes its connection with 1013. Above zero.
	MaxQueue Size `toml:"max_queue"`
	// Most messages that may wait for a slow reader; more closes its connection with 1013. Above zero.
	MaxQueueMessages int `toml:"max_queue_messages"`
	// Bytes that wait for a slow reader from which on nothing more is read from it, and it gets no single changes but, once it has caught up, their outcome.
	CongestedQueue Size `toml:"congested_queue"`
	// Refuses a subscribe to a view that does not exist, where auth is open and the client has no token. When false, such a subscribe gets no answer. Clients with a token always get one.
	ReportUnknownViews bool `toml:"report_unknown_views"`

	// Most connections from one address.
	MaxConnectionsPerIP int `toml:"max_connections_per_ip"`
	// Most connections of one metering key.
	MaxConnectionsPerMeteringKey int `toml:"max_connections_per_metering_key"`
	// Most connections from one web origin.
	MaxConnectionsPerOrigin int `toml:"max_connections_per_origin"`
	// Most connections of one subject, where its token does not say.
	DefaultMaxConnections int `toml:"default_max_connections"`
	// Most subscriptions of one connection to views, also by channels, where its token does not say. Each takes about 1 KB of memory.
	DefaultMaxSubscriptions int `toml:"default_max_subscriptions"`
	// Most rows in one snapshot, where the token does not say.
	DefaultMaxSnapshotRows int `toml:"default_max_snapshot_rows"`
	// Most messages from one connection per budget_window, where its token does not say.
	DefaultMaxMessagesPerMinute int `toml:"default_max_messages_per_minute"`
	// Most bytes to one connection per budget_window, where its token does not say.
	DefaultMaxBytesPerMinute Size `toml:"default_max_bytes_per_minute"`
	// Window of the budgets of messages and bytes. Above zero.
	BudgetWindow Duration `toml:"budget_window"`
	// Applies the limits of views.rates and the pace of snapshots.
	RateLimitingEnabled bool `toml:"rate_limiting_enabled"`

	Rates Rates `toml:"rates"`
}

// Rates is how often clients of live views may do things. Each admits max and burst together within any window; max = 0 means unlimited.
type Rates struct {
	// Handshakes from one address. Unlimited by default: after a restart all clients behind one address come back at once.
	HandshakesPerIP Rate `toml:"handshakes_per_ip"`
	// Connections of one subject. All visitors with a token of one publishable key are one subject.
	ConnectionsPerSubject Rate `toml:"connections_per_subject"`
	// Connections of one metering key.
	ConnectionsPerMeteringKey Rate `toml:"connections_per_metering_key"`
	// Subscribes on one connection. A refused one gets an error, and the known client libraries do not repeat it.
	SubscriptionsPerConnection Rate `toml:"subscriptions_per_connection"`
	// Messages on one connection.
	MessagesPerConnection Rate `toml:"messages_per_connection"`
	// Has no effect, and is accepted so that older files load. Snapshots are not refused; they wait, at the pace of views.snapshot_rows_per_second and views.snapshot_bytes_per_second.
	SnapshotsPerConnection Rate `toml:"snapshots_per_connection"`
}

// Rate is how often something may happen: Max and Burst together within Window.
type Rate struct {
	Max    int      `toml:"max"`
	Window Duration `toml:"window"`
	Burst  int      `toml:"burst"`
}

// AppViews is the live views of an app, and the clients that may read them.
type AppViews struct {
	// Who may connect: session asks for a signed session token, static for one of static_tokens, open lets every client in, off no client. None of them concerns Pusher clients and signed requests.
	Auth string `toml:"auth"`
	// With auth = "static": "label:token", or the token alone. The label is the metering key. A token has at least 16 bytes outside development.
	StaticTokens []Secret `toml:"static_tokens"`
	// Query parameter that may hold the token. Empty means hs_token, and with auth = "static" also token.
	TokenQuery string `toml:"token_query"`
	// The iss that session tokens must have, and that minted ones get.
	Issuer string `toml:"issuer"`
	// The aud that session tokens must have. Empty means the id of the app.
	Audience string `toml:"audience"`
	// Keys that session tokens may be signed with, the primary one first: each the base64 of an Ed25519 public key.
	PublicKeys []string `toml:"public_keys"`
	// URL of a JWKS document with the keys of session tokens.
	JWKSURL string `toml:"jwks_url"`
	// Refuses session tokens that are not bound to a web origin, and requests without one.
	OriginRequired bool `toml:"origin_required"`

	// Base64 of an Ed25519 seed. It lets the server mint session tokens, and accepts what it minted: see "millrace token generate-key".
	SigningKey Secret `toml:"signing_key"`
	// API keys of backends that may mint tokens. Each has at least 16 bytes outside development.
	SecretKeys []Secret `toml:"secret_keys"`
	// API keys of web pages that may mint tokens.
	PublishableKeys []Secret `toml:"publishable_keys"`
	// Web origins that may mint with a publishable key. "https://shop.example" is that origin alone; "shop.example" is that host, with any scheme, and its subdomains. Empty allows all.
	MintOrigins []string `toml:"mint_origins"`
	// Most tokens minted per minute for one key, address and origin. 0 means unlimited.
	MintPerMinute int `toml:"mint_per_minute"`
	// Lifetime of a minted token, where the request for it names none. Above a minute: clients refuse a token in its last minute.
	TokenTTL Duration `toml:"token_ttl"`
	// Most connections that a minted token grants its subject. All tokens that one API key mints have one subject.
	TokenMaxConnections int `toml:"token_max_connections"`
	// Most subscriptions per connection that a minted token grants.
	TokenMaxSubscriptions int `toml:"token_max_subscriptions"`

	// The entity types there are, such as ["Auction"]. Empty allows any.
	Entities []string `toml:"entities"`
	// Who may read base views, each a table [[apps.views.access]].
	Access []ViewAccess `toml:"access"`
	// Derived views, each a table [[apps.views.definitions]].
	Definitions []map[string]any `toml:"definitions"`
}

// ViewAccess is who may read base views, which are "X/list", "X/state" and "X/append" of each entity type X, without the app's signature. The first table that names a view counts. Views that none names are for the app's own server alone with auth = "session", else for every client that may connect. Derived views say it themselves, in their access.
type ViewAccess struct {
	// Base views: an id in which each * stands for any text, such as "Auction/*" or "*/list". Required.
	Views string `toml:"views"`
	// public is for every client, token for clients that connect with a token, server for no client. Required.
	Access string `toml:"access"`
}

// Projection is a rule that turns events published to channels into mutations of entities, so that publishers feed views without a line of code.
type Projection struct {
	// Channels it concerns: a name in which each * stands for any text. Required.
	Channels string `toml:"channels"`
	// Names of the events it concerns. Empty means all.
	Events []string `toml:"events"`
	// Names of events that delete the entity. They override op.
	DeleteEvents []string `toml:"delete_events"`
	// Entity type. Required.
	Entity string `toml:"entity"`
	// Key of the entity: a dotted path into the data of the event, "$channel" for the channel's name, or "$1" for what the first * stands for. Required.
	Key string `toml:"key"`
	// What an event does to the entity: patch, upsert or delete.
	Op string `toml:"op"`
	// Dotted path of the object within the event's data. Empty takes the data whole.
	Data string `toml:"data"`
	// With op = "patch": dotted paths of arrays to append to.
	Append []string `toml:"append"`
}

// Labelled splits a static token from its label, which is empty if it has none.
func (s Secret) Labelled() (label string, token Secret) {
	before, after, ok := strings.Cut(string(s), ":")
	if !ok {
		return "", s
	}
	return before, Secret(after)
}

// PathSecret is a secret of an app, and where in the app it stands.
type PathSecret struct {
	Path   string
	Secret Secret
}

// Secrets lists those texts of v that let in, or mint tokens for, any client that guesses one.
// Publishable keys are not among them: pages show them.
func (v *AppViews) Secrets() []PathSecret {
	var list []PathSecret
	for i, labelled := range v.StaticTokens {
		_, token := labelled.Labelled()
		list = append(list, PathSecret{fmt.Sprintf("views.static_tokens[%d]", i), token})
	}
	for i, key := range v.SecretKeys {
		list = append(list, PathSecret{fmt.Sprintf("views.secret_keys[%d]", i), key})
	}
	return list
}
