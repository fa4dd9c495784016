package config

import "time"

// Default is the configuration of an empty file: the single place of defaults. It has no
// app.
func Default() *Config {
	return &Config{
		HTTP: HTTP{
			Listen:            "0.0.0.0:6001",
			MaxBody:           10 * MB,
			MaxHeader:         16 * KB,
			ReadHeaderTimeout: Duration(10 * time.Second),
		},
		Metrics: Metrics{Listen: "127.0.0.1:9601"},
		WebSocket: WebSocket{
			MaxMessage:             64 * KB,
			MaxMessages:            1000,
			DisconnectOnBufferFull: true,
			ActivityTimeout:        Duration(120 * time.Second),
			PongTimeout:            Duration(30 * time.Second),
		},
		Handshake: Handshake{StrictProtocol: true},
		Shutdown:  Shutdown{GracePeriod: Duration(10 * time.Second)},
		Log:       Log{Level: "info", Format: "auto"},
	}
}

// DefaultApp is an app with nothing set. It has no id, key or secret.
func DefaultApp() App {
	return App{
		Enabled:               true,
		AuthorizationTimeout:  Duration(30 * time.Second),
		MaxClientEvents:       10,
		ClientEventWindow:     Duration(time.Second),
		MessageWindow:         Duration(time.Minute),
		MaxPresenceMembers:    100,
		MaxPresenceMemberSize: 2 * KB,
		MaxChannelNameLength:  200,
		MaxChannelsPerPublish: 100,
		MaxEventNameLength:    200,
		MaxEventPayload:       10 * KB,
		MaxBatchSize:          10,
		CacheTTL:              Duration(30 * time.Minute),
	}
}

// Development is what runs without a file: one app with well-known credentials, reachable
// from this machine only, and the page.
func Development() *Config {
	c := Default()
	c.HTTP.Listen = "127.0.0.1:6001"
	c.Development.Page = true
	a := DefaultApp()
	a.ID, a.Key, a.Secret = "app-id", "app-key", "app-secret"
	a.ClientEvents = true
	c.Apps = []App{a}
	return c
}
