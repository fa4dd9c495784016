package config

// Registry is the store of further apps, which operators change through the admin API while the server runs. Apps of this file are served beside them.
type Registry struct {
	// none for the apps of this file alone, embedded for the database of this node's store, or postgres.
	Driver string `toml:"driver"`
	// With driver = "postgres": where it is, such as "postgres://user:password@db.example/millrace". Tables are made when they are missing.
	URL Secret `toml:"url"`
	// With driver = "postgres": how often it is looked for changes of other nodes, besides being told of them.
	PollInterval Duration `toml:"poll_interval"`
	// With driver = "postgres": time for one query.
	Timeout Duration `toml:"timeout"`
}

// Admin is the admin API below /admin, for operators. It is signed as the HTTP API of an app is, and the same credentials sign requests to any app.
type Admin struct {
	// Names the credentials. Empty turns the admin API off.
	Key string `toml:"key"`
	// Signs requests. Required with key, and at least 16 bytes outside development.
	Secret Secret `toml:"secret"`
	// Serves the admin API on the listener of [metrics] alone, not on the listener of clients.
	Private bool `toml:"private"`
}

// AppKey is a further key of an app, to replace another one without a pause, or with fewer rights.
type AppKey struct {
	// Public key. Required, and unique among the keys of all apps.
	Key string `toml:"key"`
	// Its secret. Required, and at least 16 bytes outside development.
	Secret Secret `toml:"secret"`
	// all, publish for publishing over HTTP only, or read for reading over HTTP only. Only keys with all rights sign subscriptions and users.
	Rights string `toml:"rights"`
}
