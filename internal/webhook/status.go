package webhook

import "time"

// Status is how an endpoint does.
type Status struct {
	Endpoint  string
	Events    int       // that wait
	Bytes     int       // of them
	Oldest    time.Time // when the oldest of them happened; zero without any
	Failures  int       // in a row
	IsBroken  bool      // the breaker is open: it fails again and again
	LastError string    // of these failures
	RetryAt   time.Time // when it is tried again; zero when it does not fail
}
