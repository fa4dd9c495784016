package config

import "time"

// Default returns the configuration of an empty file: the single place of defaults. It has no
// app.
func Default() *Config {
	return &Config{
		HTTP: HTTP{
			Listen:            "0.0.0.0:6001",
			CORSOrigins:       []string{"*"},
			CORSCredentials:   true,
			SocketMode:        "0660",
			MaxBody:           10 * MB,
			MaxBodyMemory:     64 * MB,
			MaxHeader:         16 * KB,
			ReadHeaderTimeout: Duration(10 * time.Second),
			KeepAlive:         Duration(620 * time.Second),
			FastPath:          true,
		},
		Metrics: Metrics{Listen: "127.0.0.1:9601"},
		WebSocket: WebSocket{
			MaxMessage:             64 * KB,
			MaxMessages:            1000,
			MaxBytes:               512 * KB,
			DisconnectOnBufferFull: true,
			ActivityTimeout:        Duration(120 * time.Second),
			PongTimeout:            Duration(30 * time.Second),
			SubscriptionRefusals:   "both",
		},
		Handshake: Handshake{StrictProtocol: true, QuotaCloseCode: 4004},
		Limits:    Limits{APIRequests: Rate{Window: Duration(time.Minute)}, Connects: Rate{Window: Duration(time.Minute)}},
		Idempotency: Idempotency{
			Enabled: true, TTL: Duration(120 * time.Second), MaxKeyLength: 128, MaxKeys: 1_000_000, MaxMemory: 256 * MB,
			MaxMemoryPerApp: 128 * MB,
		},
		Filters: Filters{Enabled: true, MaxEvents: 50, MaxEventNameLength: 200},
		Cleanup: Cleanup{
			Async: true, QueueSize: 16_384, BatchSize: 64, BreakerFailures: 10, BreakerPause: Duration(30 * time.Second),
		},
		Shutdown: Shutdown{GracePeriod: Duration(10 * time.Second)},
		Log:      Log{Level: "info", Format: "auto"},
		Store:    Store{Driver: "embedded", Path: "./millrace-data"},
		History:  History{MaxPageSize: 100},
		Registry: Registry{Driver: "none", PollInterval: Duration(30 * time.Second), Timeout: Duration(5 * time.Second)},
		Webhooks: defaultWebhooks(),
		Views:    defaultViews(),
		Usage: Usage{
			MaxSpool:      64 * MB,
			BatchSize:     50,
			MaxBatchSize:  500,
			FlushInterval: Duration(2 * time.Second),
			Timeout:       Duration(10 * time.Second),
			MaxPending:    10_000,
		},
		Telemetry:   Telemetry{SampleRatio: 1, Interval: Duration(time.Minute), ServiceName: "millrace"},
		AppDefaults: defaultAppLimits(),
	}
}

// defaultWebhooks returns the numbers of pusher 6.4.
func defaultWebhooks() Webhooks {
	return Webhooks{
		Grace:            Duration(3 * time.Second),
		UserGrace:        Duration(3 * time.Second),
		StartGrace:       Duration(30 * time.Second),
		VacateAtShutdown: true,
		Batching:         true,
		BatchDuration:    Duration(50 * time.Millisecond),
		BatchSize:        100,
		Retry:            true,
		MaxElapsed:       Duration(300 * time.Second),
		InitialBackoff:   Duration(time.Second),
		MaxBackoff:       Duration(60 * time.Second),
		RequestTimeout:   Duration(10 * time.Second),
		MaxRequests:      20,
		MaxPending:       16 * MB,
		MaxPendingTotal:  256 * MB,
		MaxSubjects:      1 << 20,
		MaxDead:          1000,
		MaxDeadSize:      64 * MB,
		DeadTTL:          Duration(7 * 24 * time.Hour),
	}
}

// defaultViews returns the limits of views 2 and the numbers of views 10.
func defaultViews() Views {
	perMinute := func(most, burst int) Rate { return Rate{Max: most, Window: Duration(time.Minute), Burst: burst} }
	return Views{
		Enabled:                true,
		ArrayLimit:             100,
		EntityMaxSize:          MB,
		EntityMaxDepth:         64,
		EntityMaxKey:           1024,
		MaxBatch:               1000,
		MaxWaiting:             16 * MB,
		MaxTombstones:          10_000,
		IdempotencyTTL:         Duration(24 * time.Hour),
		DefaultWindow:          100,
		SnapshotBatchFirst:     50,
		SnapshotBatchNext:      100,
		SnapshotBatchBytes:     256 * KB,
		SnapshotRowsPerSecond:  100_000,
		SnapshotBytesPerSecond: 32 * MB,
		CompressionThreshold:   KB,
		ReadMaxRows:            1000,
		ClientTimeout:          Duration(300 * time.Second),
		MaxMessage:             64 * KB,
		MaxQueue:               512 * KB,
		MaxQueueMessages:       10_000,

		DefaultMaxSubscriptions: 1000,

		CongestedQueue:      256 * KB,
		BudgetWindow:        Duration(time.Minute),
		RateLimitingEnabled: true,
		Rates: Rates{
			HandshakesPerIP:            perMinute(0, 0),
			ConnectionsPerSubject:      perMinute(0, 0),
			ConnectionsPerMeteringKey:  perMinute(0, 0),
			SubscriptionsPerConnection: perMinute(0, 0),
			MessagesPerConnection:      perMinute(6000, 1000),
			SnapshotsPerConnection:     perMinute(0, 0),
		},
	}
}

// defaultAppLimits returns the numbers of pusher 7.1.
func defaultAppLimits() AppLimits {
	return AppLimits{
		MaxSubscriptionsPerConnection: 10_000,

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
		HistoryAge:            Duration(24 * time.Hour),
		RecoveryAge:           Duration(2 * time.Minute),
		RecoveryMaxMessages:   100,
	}
}

// DefaultApp returns an app with nothing set, where [app_defaults] has nothing set either. It has no
// id, key or secret.
func DefaultApp() App {
	return App{
		Enabled:     true,
		Idempotency: "inherit",
		AppLimits:   defaultAppLimits(),
		Views: AppViews{
			Auth:                  "session",
			Issuer:                "millrace",
			TokenTTL:              Duration(300 * time.Second),
			TokenMaxConnections:   10_000,
			TokenMaxSubscriptions: 1000,
			MintPerMinute:         60,
		},
	}
}

// DefaultProjection returns a rule with nothing set.
func DefaultProjection() Projection { return Projection{Op: "patch"} }

// DefaultWebhook returns a webhook with nothing set.
func DefaultWebhook() Webhook { return Webhook{Batching: "inherit", Retry: "inherit"} }

// DefaultAppKey returns a further key with nothing set.
func DefaultAppKey() AppKey { return AppKey{Rights: "all"} }
