// Package view is the engine of live views: it knows the views that are installed and their subscribers,
// and decides what each subscriber must be sent so that its copy becomes and stays right
// (views 3.2-3.6, 4.1-4.3, 5). It owns the place of derived views among each other, their windows, and the
// way from a snapshot to live changes. It must never know how a frame is spelt, how a connection is
// reached, whether a client may subscribe, who decides changes and definitions, or another node.
//
// All that concerns one entity type happens under the lock of its [entity.Type]: a caller that installs
// changes holds it while it calls [Engine.Changed], and a caller that joins or leaves a topic of the type
// holds it too. So the state and the positions of the topics agree under it, and "join a topic, note
// its position, read the state" is one step. A derived view belongs to the type at the end of
// its sources. Lock order: type (two of them by name), then the tables of Engine, then topic
// of the bus, then the hub's. The lock is held over calls of [Bus] and the hub, which by their contracts
// do not wait, and never over a reply or a wait.
//
// Publications: base views publish every change once, as it was given. A derived view publishes,
// once for each watched window, the net difference that a group of changes makes to it: the rows
// that left, then the rows that entered or changed. A change outside of a window costs two
// comparisons and publishes nothing. A group that concerns more windows than flushers keep up with is
// published in parts, and the lock is free between them: a caller sees the state after the group, and a window
// that it has to do with publishes first.
//
// Snapshots: a subscriber is brought up to date in batches (package catchup), read one by one from the state
// as it is then, and only while its connection is not congested. Changes since its beginning follow by
// change number, as full entities and deletions, and when nothing is left the subscription joins its topic. A
// subscription that lags (missed.Lag) goes the same way again. Where that is not possible,
// because what it missed has been forgotten, the connection is closed: a view never
// freezes silently.
//
// Memory: a window remembers the keys of those frames that are on their way through the hub or that
// a subscription which is being brought up to date has not accounted for; what a lagging one misses
// the hub notes, in bounded memory. Of one connection few windows are brought up to date at a time.
// An entity type that has no entities is there only while a subscription or a derived view is about it.
//
// Order: per subscription subscribed, the snapshot, then changes in the order in which they
// were installed. Loss: none, except that a subscriber which lags gets one full entity in place
// of the changes that led to it.
//
// Goroutines: none.
package view
