package room

import "time"

// Between two notices of one channel (pusher 2.10).
const (
	noticeInterval      = time.Second
	noticeIntervalLarge = 5 * time.Second
	largeChannel        = 100 // subscribers; above it the longer interval holds
)

func (r *Room) setNotices(isOn bool) {
	if !r.IsChannel() || r.kind.HasMembers() {
		return
	}
	if m := r.memo(); isOn && (m == nil || !m.hasNotices) {
		r.remember().hasNotices = true
	} else if !isOn && m != nil {
		r.forgetNotices()
	}
}

func (r *Room) forgetNotices() {
	if m := r.memo(); m != nil {
		*m = memo{retained: m.retained, expires: m.expires}
		r.trim()
	}
}

// Counted is called after a join or a leave that has changed the number of subscriptions, once its
// events are told. It makes the events about
// the number of subscriptions: listeners are told each one, subscribers at once after a quiet
// time. If wait is above zero they have to wait, and the owner calls NoticeDue after it.
func (r *Room) Counted(now time.Duration, events []Event) (_ []Event, wait time.Duration) {
	if !r.IsChannel() || r.kind.HasMembers() {
		return events, 0
	}
	events = append(events, Event{Kind: SubscriptionCount, App: r.topic.App, Channel: r.topic.Name, Count: int(r.subs)})
	m := r.memo()
	switch {
	case m == nil || !m.hasNotices:
		return events, 0
	case r.subs == 0:
		r.forgetNotices()
		return events, 0
	case m.isArmed:
		return events, 0
	default:
		return r.notify(now, m, events)
	}
}

// NoticeDue makes the notice that had to wait. It may have to wait on, if the channel has grown
// large in between: see Counted.
func (r *Room) NoticeDue(now time.Duration, events []Event) (_ []Event, wait time.Duration) {
	m := r.memo()
	if m == nil || !m.isArmed {
		return events, 0
	}
	m.isArmed = false
	return r.notify(now, m, events)
}

func (r *Room) notify(now time.Duration, m *memo, events []Event) (_ []Event, wait time.Duration) {
	due := m.next
	if r.subs > largeChannel {
		due += noticeIntervalLarge - noticeInterval
	}
	if m.isTold && due > now {
		m.isArmed = true
		return events, due - now
	}
	m.next, m.isTold = now+noticeInterval, true
	return append(events, Event{Kind: CountNotice, App: r.topic.App, Channel: r.topic.Name, Count: int(r.subs)}), 0
}

// HasNoticeDue reports whether the owner is to come back for a notice.
func (r *Room) HasNoticeDue() bool {
	m := r.memo()
	return m != nil && m.isArmed
}
