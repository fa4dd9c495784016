package link

import "github.com/millrace/millrace/internal/cluster"

// receiver is the stream of the peer to an end. It holds no message.
type receiver struct {
	isSilent bool // a fault: gaps are passed over in silence

	confirmed uint64 // what is up to here was received or passed over
	missed    uint64 // how many were passed over
	bytes     int    // received since the last confirmation
	lostRound uint64 // the last round of which frames were lost
	resend    uint64 // lostRound, if the peer is still to be told of it; zero otherwise
}

// newReceiver is a stream of which nothing was received.
func newReceiver(o *Options) receiver {
	return receiver{isSilent: o.Faults.Has(cluster.FaultGapPassedOver)}
}

// begin starts the stream again, of another life of the peer.
func (r *receiver) begin() { *r = receiver{isSilent: r.isSilent} }

// receive takes what is new of f. It reports whether f shows that a frame was lost, as no frame of the same round did
// before: the peer is to be told at once.
func (r *receiver) receive(f *Frame, got *Received) (isLoss bool) {
	if f.Gap != nil && f.Gap.First <= r.confirmed+1 && f.First > r.confirmed+1 {
		got.Gap = r.passOver(f)
	}
	if f.First > r.confirmed+1 {
		isLoss = f.Round > r.lostRound
		r.lostRound = max(r.lostRound, f.Round)
		r.resend = r.lostRound
		return isLoss
	}
	if known := r.confirmed + 1 - f.First; known < uint64(len(f.Messages)) {
		got.First, got.Messages = r.confirmed+1, f.Messages[known:]
		r.confirmed += uint64(len(got.Messages))
		for _, m := range got.Messages {
			r.bytes += m.Size() + perMessage
		}
	}
	return false
}

// passOver passes over the gap before the first message of f. It returns the part that was not received.
func (r *receiver) passOver(f *Frame) *Gap {
	gap := &Gap{First: r.confirmed + 1, Last: f.First - 1, Loss: f.Gap.Loss}
	r.missed += f.First - gap.First
	r.confirmed = gap.Last
	if r.isSilent {
		return nil
	}
	return gap
}

// fill puts into f what the peer is to know of its stream.
func (r *receiver) fill(f *Frame) {
	f.Confirmed, f.Missed, f.Resend = r.confirmed, r.missed, r.resend
	r.bytes, r.resend = 0, 0
}
