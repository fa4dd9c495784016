// Package locks has mutexes that a test can ask which of them its goroutine holds. Without the
// build tag slowbus they are the mutexes of package sync and cost the same.
//
// Packages that call the bus use them, because no lock may be held over a call of it.
package locks
