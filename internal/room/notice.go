package room

import "time"

// Between two notices of one channel (pusher-protocol 2.10).
const (
	noticeInterval      = time.Second
	noticeIntervalLarge = 5 * time.Second
	largeChannel        = 100 // subscribers; above it the longer interval holds
)

// notice is when the subscribers of a channel were last told how many they are.
type notice struct {
	next    time.Duration // not before: of a channel that is not large
	isTold  bool          // at least once
	isArmed bool          // the owner comes back
}

func (r *Room) setNotices(isOn bool) {
	switch {
	case !r.kind.IsChannel() || r.kind.HasMembers():
	case !isOn && r.kept != nil:
		r.kept.notice = nil
	case isOn && r.keep().notice == nil:
		r.kept.notice = new(notice)
	}
}

// Counted is called after a join or a leave that has changed the number of subscriptions, once its
// events are told. It makes the events about
// the number of subscriptions: listeners are told each one, subscribers at once after a quiet
// time. If wait is above zero they have to wait, and the owner calls NoticeDue after it.
func (r *Room) Counted(now time.Duration, events []Event) (_ []Event, wait time.Duration) {
	if !r.kind.IsChannel() || r.kind.HasMembers() {
		return events, 0
	}
	events = append(events, Event{Kind: SubscriptionCount, App: r.topic.App, Channel: r.topic.Name, Count: int(r.subs)})
	if r.kept == nil || r.kept.notice == nil {
		return events, 0
	}
	if r.subs == 0 {
		r.kept.notice = nil
		return events, 0
	}
	if r.kept.notice.isArmed {
		return events, 0
	}
	return r.notify(now, events)
}

// NoticeDue makes the notice that had to wait. It may have to wait on, if the channel has grown
// large in between: see Counted.
func (r *Room) NoticeDue(now time.Duration, events []Event) (_ []Event, wait time.Duration) {
	if r.kept == nil || r.kept.notice == nil || !r.kept.notice.isArmed {
		return events, 0
	}
	r.kept.notice.isArmed = false
	return r.notify(now, events)
}

func (r *Room) notify(now time.Duration, events []Event) (_ []Event, wait time.Duration) {
	n := r.kept.notice
	due := n.next
	if r.subs > largeChannel {
		due += noticeIntervalLarge - noticeInterval
	}
	if n.isTold && due > now {
		n.isArmed = true
		return events, due - now
	}
	n.next, n.isTold = now+noticeInterval, true
	return append(events, Event{Kind: CountNotice, App: r.topic.App, Channel: r.topic.Name, Count: int(r.subs)}), 0
}

// HasNoticeDue reports whether the owner is to come back for a notice.
func (r *Room) HasNoticeDue() bool {
	return r.kept != nil && r.kept.notice != nil && r.kept.notice.isArmed
}
