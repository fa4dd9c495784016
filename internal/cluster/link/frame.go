package link

import "github.com/millrace/millrace/internal/cluster"

// Frame is what one end writes to the other at once. A frame without messages is a heartbeat.
//
// The fields from Round on are of the streams between the lives From and To. They are zero while To is zero.
type Frame struct {
	From   cluster.Incarnation // of the sender; above zero
	To     cluster.Incarnation // for which the frame is meant; zero: the sender knows none
	Number uint64              // counts the frames that this life of the sender has written to the peer

	Round    uint64            // grows each time that the sender goes back to what is not confirmed
	First    uint64            // sequence of the first message; without messages, of the next one
	Gap      *Gap              // what the sender cannot send any more, up to the message before First; nil: nothing
	Messages []cluster.Message // contiguous

	Confirmed uint64 // the sender has received the messages up to this sequence, or has passed over them
	Missed    uint64 // how many of these it has passed over
	Resend    uint64 // messages after Confirmed were lost in this round, and are to be sent again; zero: none
}

// Gap is a range of sequences whose messages the sending end has dropped, since more was waiting than it may keep.
type Gap struct {
	First, Last uint64
	// Loss is what the missing messages would have told. It may say more: what was received just before the gap.
	Loss cluster.Loss
}

// Received is what a frame has brought, in the order of its fields.
type Received struct {
	// Superseded, if set, is a later life of this node, which the peer has heard: this one is over, and the peer
	// drops all that it sends. A node that is none the less alive begins a life above it.
	Superseded cluster.Incarnation
	// Began is set if this is the first frame of a life of the peer that this end has heard. Messages that were sent to an earlier life and
	// not confirmed are dropped, and no Lost reports them.
	Began cluster.Incarnation
	// Lost, if set, is a gap in what this end has sent, as the peer has passed over it.
	Lost *Gap
	// Gap, if set, is what this end has passed over.
	Gap *Gap
	// First is the sequence of the first of Messages.
	First    uint64
	Messages []cluster.Message // part of the frame's
}
