package cluster

// Faults are mistakes that a machine makes on purpose. The simulator's tests set them, to show that it finds
// each; in production there are none.
type Faults uint32

// The faults.
const (
	// FaultPipelined: an owner has several groups outstanding in the log.
	FaultPipelined Faults = 1 << iota
	// FaultProposedLater: an owner proposes a group that it decided in an earlier term.
	FaultProposedLater
	// FaultLeaseFromReceipt: a lease counts from the moment at which the owner hears that an entry is committed.
	FaultLeaseFromReceipt
	// FaultAppliedIDsOnly: an owner looks for ids in applied groups only.
	FaultAppliedIDsOnly
	// FaultDeliveryFirst: an owner delivers a group before it is committed.
	FaultDeliveryFirst
	// FaultGapPassedOver: a receiver passes over a gap of its link.
	FaultGapPassedOver
	// FaultLiveBeforeReplay: a node delivers live publications before a replay has ended.
	FaultLiveBeforeReplay
	// FaultIDsForgotten: an owner that begins a term knows no ids.
	FaultIDsForgotten
	// FaultStreamKept: an owner gives an unlogged stream the identity that it had in an earlier term.
	FaultStreamKept
	// FaultToldForgotten: an owner that begins a term does not know which edges were told.
	FaultToldForgotten
	// FaultNotCompared: an owner that begins a term does not compare what was told with what is.
	FaultNotCompared
	// FaultGoneBeforeReports: an owner that begins a term takes members for gone whose nodes have not reported.
	FaultGoneBeforeReports
	// FaultClaimsForgotten: claims of keys are locks in the memory of an owner, of which the next owner knows nothing.
	FaultClaimsForgotten
	// FaultPatternsForgotten: nodes do not report their patterns to an owner that begins a term.
	FaultPatternsForgotten
	// FaultLentTwice: an owner that begins a term lends budgets that nodes have of the former owner.
	FaultLentTwice
	// FaultAdmitsBehind: a node admits connections by an older state than the owner's.
	FaultAdmitsBehind
	// FaultChangedAtOnce: a change of state is answered when it is stored.
	FaultChangedAtOnce
	// FaultBatchesForgotten: an owner that begins a term does not know which batches of mutations were applied.
	FaultBatchesForgotten
	// FaultFeedsForgotten: an owner that begins a term does not know up to where batches were made from topics.
	FaultFeedsForgotten
	// FaultQueueLost: an owner that hands over forgets the requests that wait.
	FaultQueueLost
	// FaultHandedLater: an owner takes what another one has handed over, whatever terms were between.
	FaultHandedLater
)

// Has reports whether f has a fault.
func (f Faults) Has(fault Faults) bool { return f&fault != 0 }
