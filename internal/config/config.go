// Package config declares what an operator may set: the keys, their types and units, their defaults,
// and the form in which problems with them are reported. A [Config] is data.
//
// Its children work on that data: config/load reads a file and the environment, config/bind gives keys
// their values, config/rules says what is wrong, config/appdoc reads and writes single apps as JSON,
// config/foreign reads the apps of other servers, config/reference is the commented file.
//
// It must never know what the settings do, and none of its children either: server and cli alone
// import them, and hand each package its own Options. They start no goroutine.
//
// The comments of the fields are the documentation that users read: config/reference generates
// docs/config.md and the example file from them.
package config

// Config is everything that can be set.
type Config struct {
	HTTP        HTTP        `toml:"http"`
	Metrics     Metrics     `toml:"metrics"`
	WebSocket   WebSocket   `toml:"websocket"`
	Handshake   Handshake   `toml:"handshake"`
	Limits      Limits      `toml:"limits"`
	Idempotency Idempotency `toml:"idempotency"`
	Filters     Filters     `toml:"event_filters"`
	Cleanup     Cleanup     `toml:"cleanup"`
	Shutdown    Shutdown    `toml:"shutdown"`
	Log         Log         `toml:"log"`
	Development Dev         `toml:"development"`
	Store       Store       `toml:"store"`
	History     History     `toml:"history"`
	Registry    Registry    `toml:"registry"`
	Admin       Admin       `toml:"admin"`
	Webhooks    Webhooks    `toml:"webhooks"`
	Views       Views       `toml:"views"`
	Usage       Usage       `toml:"usage"`
	Audit       Audit       `toml:"audit"`
	Telemetry   Telemetry   `toml:"telemetry"`
	AppDefaults AppLimits   `toml:"app_defaults"`
	Apps        []App       `toml:"apps"`

	origin Origin
}

// Origin is how a Config came about, as far as its meaning depends on that.
type Origin struct {
	Dev       bool   // development mode stays, even where a setting would end it
	Listener  string // where clients are served instead of http.listen; empty: there
	Ended     string // what has ended development mode, without a file
	HasNoApps bool   // the file says nothing of apps
}

// Origin returns how c came about; zero for a Config that was not loaded.
func (c *Config) Origin() Origin { return c.origin }

// SetOrigin notes how c came about.
func (c *Config) SetOrigin(o Origin) { c.origin = o }

// HTTP is the listener for clients and for the HTTP API.
type HTTP struct {
	// Address of the listener that serves WebSocket connections and the HTTP API, or "unix:" and the path of a socket. The default is all addresses of the machine, so other machines reach it; behind a proxy on this machine write "127.0.0.1:6001".
	Listen string `toml:"listen"`
	// Permissions of the socket, in octal, when listen is one.
	SocketMode string `toml:"socket_mode"`
	// Largest body of an HTTP API request; a larger one gets 413.
	MaxBody Size `toml:"max_body"`
	// Most memory for the bodies of all API requests that are under way; a request that finds no room within a second gets 503. Bodies above 64KB get three quarters of it at most, and such bodies of one app half of it. Answers above 64KB to readers of views without a signature have as much memory again; answers to one address get half of it, and one answer no more than that. One body of max_body always fits. Above zero.
	MaxBodyMemory Size `toml:"max_body_memory"`
	// Largest header of any request, handshakes and the line of the request included; a larger one gets 431.
	MaxHeader Size `toml:"max_header"`
	// How long a new connection may take to send its request header.
	ReadHeaderTimeout Duration `toml:"read_header_timeout"`
	// How long a connection waits for its next HTTP request. Above the time for which a balancer keeps connections to its servers open, or the balancer uses one that has just been closed.
	KeepAlive Duration `toml:"keep_alive"`
	// Serves usual requests by a short loop instead of net/http, which saves a fifth to a quarter of the CPU of a publish. Off, net/http serves every connection, as it does over TLS anyway; clients and publishers see no difference. A change needs a restart.
	FastPath bool `toml:"fast_path"`
	// Path below which everything is served as well, such as "/realtime", for a proxy that passes on a part of a site. It works whether the proxy strips it or not.
	PathPrefix string `toml:"path_prefix"`
	// PEM file with the certificate chain. Set together with tls_key_file, it makes the listener speak TLS only. Both files are followed: a renewed certificate needs no restart.
	TLSCertFile string `toml:"tls_cert_file"`
	// PEM file with the private key of the certificate.
	TLSKeyFile string `toml:"tls_key_file"`

	// Proxies before this server, as addresses or networks such as "10.0.0.0/8", or "unix" for every peer of a socket. What they say of a client counts: its address, and by X-Forwarded-Proto or Forwarded whether it speaks TLS.
	TrustedProxies []string `toml:"trusted_proxies"`
	// The only header of trusted proxies that tells the address of a client, such as "Forwarded" or "CF-Connecting-IP". Name it if the proxies write another one than X-Forwarded-For, because they pass on what clients write into those. Empty means X-Forwarded-For, without it X-Real-IP, without both Forwarded.
	ForwardedHeader string `toml:"forwarded_header"`
	// Web origins whose pages may call the HTTP API, such as "https://shop.example" or "*.example.com". "*" or "any" is all of them; an empty list is none.
	CORSOrigins []string `toml:"cors_origins"`
	// HTTP methods that these pages may use. Empty means all that the API has.
	CORSMethods []string `toml:"cors_methods"`
	// Request headers that these pages may send. Empty means the headers that the API needs.
	CORSHeaders []string `toml:"cors_headers"`
	// Lets these pages send cookies and the like. Never with "*" or "any".
	CORSCredentials bool `toml:"cors_credentials"`
	// Serves /stats and /usage on this listener, too. Requests to them are not signed, so every client can read them.
	Stats bool `toml:"stats"`
}

// Metrics is the second listener, for operators.
type Metrics struct {
	// Address of the listener that serves /metrics. Keep it private. Empty turns it off.
	Listen string `toml:"listen"`
	// PEM file with the certificate chain of this listener, which makes it speak TLS only. Set together with tls_key_file; both are followed.
	TLSCertFile string `toml:"tls_cert_file"`
	// PEM file with the private key of the certificate.
	TLSKeyFile string `toml:"tls_key_file"`
	// PEM file with the authorities of client certificates. It refuses clients without one.
	ClientCAFile string `toml:"client_ca_file"`
}

// WebSocket is what every client connection is subject to.
type WebSocket struct {
	// Largest message a client may send; a larger one closes its connection with 1009.
	MaxMessage Size `toml:"max_message"`
	// Most frames that may wait for a slow reader. 0 leaves max_bytes and at most 10000 frames; with both 0 it is 1000.
	MaxMessages int `toml:"max_messages"`
	// Most bytes that may wait for a slow reader; one frame may wait alone, whatever its size. "0B" leaves only max_messages. From a connection for which half of it waits, or 256KB, or half of max_messages, nothing is read until it has taken most of that; one that takes nothing for 30 s is closed with 4100.
	MaxBytes Size `toml:"max_bytes"`
	// Closes a connection whose queue is full, with 4100. Otherwise new events are dropped for that connection.
	DisconnectOnBufferFull bool `toml:"disconnect_on_buffer_full"`
	// Silence after which the server pings a client, in whole seconds. Clients are told it.
	ActivityTimeout Duration `toml:"activity_timeout"`
	// Further silence after the ping that closes the connection with 4201.
	PongTimeout Duration `toml:"pong_timeout"`
	// Most connections of this node, all apps together. 0 means unlimited.
	MaxConnections int `toml:"max_connections"`
	// How clients hear that a subscription is not signed well or a presence channel is full: by "subscription_error", by "error" with 4009 or 4100, or by "both". Every other refusal is a pusher:subscription_error alone.
	SubscriptionRefusals string `toml:"subscription_refusals"`
}

// Handshake is the checks of a new connection.
type Handshake struct {
	// Refuses connections without a protocol version or with one that is not supported. Otherwise they count as version 7.
	StrictProtocol bool `toml:"strict_protocol"`
	// Code for a connection above max_connections of its app: 4004, after which clients stay away, or 4100, after which they try again.
	QuotaCloseCode int `toml:"quota_close_code"`
}

// Limits is how much one client address may ask of the server. The addresses of an IPv6 network of 64 bits count as one. Windows are fixed and begin with a first request; max = 0 means unlimited.
type Limits struct {
	// Requests to the HTTP API, refused ones included; more get 429.
	APIRequests Rate `toml:"api_requests"`
	// New connections to channels; more get 429.
	Connects Rate `toml:"connects"`
}

// Idempotency is how a publish that is sent twice with one idempotency key is carried out once.
type Idempotency struct {
	// Publishes and mutations with the same idempotency key, in the body or in X-Idempotency-Key, are carried out once. An app may set its own.
	Enabled bool `toml:"enabled"`
	// How long the answer to a key is remembered. An app may say otherwise. Above zero.
	TTL Duration `toml:"ttl"`
	// Longest key, in bytes. Above zero.
	MaxKeyLength int `toml:"max_key_length"`
	// Most keys that are remembered; without room for another one, publishes with a key get 503. Above zero.
	MaxKeys int `toml:"max_keys"`
	// Most memory for keys and answers; without room for another one, publishes with a key get 503. Above zero.
	MaxMemory Size `toml:"max_memory"`
	// Most of it for the keys and answers of one app, so that one app cannot take the room of all others. Above zero.
	MaxMemoryPerApp Size `toml:"max_memory_per_app"`
}

// Filters is which events of a channel a subscription gets, where a client asks for some of them by name.
type Filters struct {
	// Clients may name events in "filter" of a subscribe, and get these events alone. When false, "filter" is ignored.
	Enabled bool `toml:"enabled"`
	// Most event names in one filter. Above zero.
	MaxEvents int `toml:"max_events"`
	// Longest event name in a filter, in bytes. Above zero.
	MaxEventNameLength int `toml:"max_event_name_length"`
	// Clients of protocol V2 are shown the tags of an event. They cost bytes with each delivery.
	ShowTags bool `toml:"show_tags"`
}

// Cleanup is the queue and the workers that carry out the effects of ended connections, so that many that end at once do not delay the open ones.
type Cleanup struct {
	// Lets workers do it. Otherwise each connection does it by itself, at once.
	Async bool `toml:"async"`
	// Most connections that wait for a worker; beyond it they do it by themselves.
	QueueSize int `toml:"queue_size"`
	// Connections that a worker takes at once.
	BatchSize int `toml:"batch_size"`
	// Workers. 0 is a quarter of the processors, from 1 to 4.
	Workers int `toml:"workers"`
	// Failures in a row after which connections do it by themselves for breaker_pause.
	BreakerFailures int `toml:"breaker_failures"`
	// How long they do.
	BreakerPause Duration `toml:"breaker_pause"`
}

// Shutdown is how the server ends.
type Shutdown struct {
	// Time until the exit in which connections are told to reconnect elsewhere and are cleaned up.
	GracePeriod Duration `toml:"grace_period"`
	// Time from the signal until new connections are refused and open ones closed, in which /up says DRAINING so that balancers turn away. It passes before grace_period begins.
	ReadinessDelay Duration `toml:"readiness_delay"`
}

// Log is the log, on standard error.
type Log struct {
	// Least level that is logged: debug, info, warn or error.
	Level string `toml:"level"`
	// text, json, or auto: text on a terminal, json otherwise.
	Format string `toml:"format"`
}

// Dev is for trying things out, never for production.
type Dev struct {
	// Serves a page at / that connects to the first app and signs its subscriptions for every visitor. It needs a listener that only this machine reaches, or serve --dev. Well-known and short secrets are allowed then.
	Page bool `toml:"page"`
	// Web origins of front-end development servers, such as "http://localhost:5173", whose pages may ask the page for signatures at /auth. Their hosts, and addresses, are the only other names that the page answers to.
	Origins []string `toml:"origins"`
}

// Store is where entities, views defined at run time, revoked tokens and what is published to channels are kept.
type Store struct {
	// embedded keeps them in a database file of this node and survives restarts and kills; memory forgets them at the end.
	Driver string `toml:"driver"`
	// Directory of the embedded store. It is made if it does not exist, and belongs to one running server.
	Path string `toml:"path"`
}

// History is what is kept of the channels of apps with history = true, in the database file of the embedded store.
type History struct {
	// Most bytes of events that are kept, all apps together; the file is about a tenth larger. Beyond it the oldest events of the app that exceeds its share most go first; the share is this size divided by the number of apps that have some. The server warns at 80 %. "0B" is half of the disk that is free at the start, with what is kept already.
	MaxBytes DiskSize `toml:"max_bytes"`
	// Most events in one answer. Above zero.
	MaxPageSize int `toml:"max_page_size"`
}

// Usage is where the use of live views is reported, for billing.
type Usage struct {
	// URL that usage events are posted to, in batches. Empty turns them off.
	Endpoint string `toml:"endpoint"`
	// Sent with each batch as Authorization: Bearer. Empty sends none.
	Token Secret `toml:"token"`
	// Directory for batches that cannot be delivered now, also over a restart. Empty keeps them in memory only.
	SpoolDir string `toml:"spool_dir"`
	// Most bytes of batches in spool_dir; the oldest go first.
	MaxSpool Size `toml:"max_spool"`
	// Events that make a batch due before flush_interval.
	BatchSize int `toml:"batch_size"`
	// Most events in one batch.
	MaxBatchSize int `toml:"max_batch_size"`
	// Longest time that an event waits for its batch.
	FlushInterval Duration `toml:"flush_interval"`
	// Time for one delivery.
	Timeout Duration `toml:"timeout"`
	// Most events that wait in memory; further ones are dropped and counted.
	MaxPending int `toml:"max_pending"`
}

// Audit is the record of security events: handshakes, tokens, exceeded limits.
type Audit struct {
	// File that gets one JSON object per line, appended. "-" is standard error. Empty turns it off.
	File string `toml:"file"`
}

// Telemetry is the export of traces and metrics by OpenTelemetry.
type Telemetry struct {
	// URL of an OTLP collector over HTTP, such as "http://127.0.0.1:4318". Empty turns the export off.
	OTLPEndpoint string `toml:"otlp_endpoint"`
	// Headers for the collector: "name=value,name=value".
	Headers Secret `toml:"headers"`
	// Part of the traces that is exported, from 0 to 1.
	SampleRatio float64 `toml:"sample_ratio"`
	// How often metrics are exported.
	Interval Duration `toml:"interval"`
	// Name of this service in traces and metrics.
	ServiceName string `toml:"service_name"`
}

// App is one application: its credentials, limits and features. A limit that is left out comes
// from [app_defaults]; 0 means unlimited unless said otherwise.
type App struct {
	// Names the app in the paths of the HTTP API. Required, and unique.
	ID string `toml:"id"`
	// Other ids that name the app in paths, such as a number for libraries that take no other. Unique among the ids and aliases of all apps.
	Aliases []string `toml:"aliases"`
	// Public key, by which clients name the app. Required, and unique.
	Key string `toml:"key"`
	// Signs subscriptions and HTTP API requests. Required, and at least 16 bytes outside development; keep it on servers.
	Secret Secret `toml:"secret"`
	// Turns the app off without forgetting it: connections get 4003, requests 403.
	Enabled bool `toml:"enabled"`
	// Web origins that may connect, such as "https://shop.example", "shop.example" or "*.example.com". Empty allows all.
	AllowedOrigins []string `toml:"allowed_origins"`

	// Refuses connections that are not encrypted, with 4000, and with 403 those to views and reads of views without a signature. Behind a trusted proxy its X-Forwarded-Proto counts.
	RequireTLS bool `toml:"require_tls"`
	// Lets clients send client- events to private and presence channels.
	ClientEvents bool `toml:"client_events"`
	// Tells subscribers how many they are whenever that changes, except on presence channels.
	SubscriptionCount bool `toml:"subscription_count"`
	// Lets connections sign in as users. The app's backend can send events to a user and terminate the user's connections.
	SignIn bool `toml:"sign_in"`
	// Tells connections that sign in with a watchlist when the users in it go online and offline.
	Watchlists bool `toml:"watchlists"`
	// Closes connections that have neither signed in nor subscribed to a private or presence channel within authorization_timeout.
	RequireAuthorization bool `toml:"require_authorization"`
	// Idempotency keys of the app's requests: on, off, or inherit for the value of idempotency.enabled.
	Idempotency string `toml:"idempotency"`

	AppLimits

	Keys        []AppKey     `toml:"keys"`
	Webhooks    []Webhook    `toml:"webhooks"`
	Views       AppViews     `toml:"views"`
	Projections []Projection `toml:"projections"`

	given map[string]bool // the keys of AppLimits that the app has of its own; see Inherit
}
