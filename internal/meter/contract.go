// Package meter counts what connections of live views use and hands it out as usage events
// (live-views 7.1). (Sketch of the contract; real files replace it.)
package meter

import "time"

// Identity is whom usage is counted for; empty members are null on the wire.
type Identity struct{ ClientID, DeploymentID, MeteringKey, Subject string }

// Meter takes usage. A nil *Meter takes nothing and costs nothing. Safe for concurrent use; never blocks.
type Meter struct{}

func (m *Meter) IsOn() bool                                                       { return m != nil }
func (m *Meter) ConnectionEstablished(id Identity, remoteAddr, keyClass string)   {}
func (m *Meter) ConnectionClosed(id Identity, d time.Duration, subscriptions int) {}
func (m *Meter) SubscriptionCreated(id Identity, view string)                     {}
func (m *Meter) SubscriptionRemoved(id Identity, view string)                     {}
func (m *Meter) SnapshotSent(id Identity, view string, rows, bytes int)           {}
func (m *Meter) UpdateSent(id Identity, view string, messages, bytes int)         {}
