package log

// Claim is a publish request with an idempotency key, as the partition of the key has it. A later record of the same key
// replaces it.
type Claim struct {
	Key    string
	Number uint64  // of the claim: the ids of the request's publications are made of it
	Digest string  // of the request: another request with the key is refused
	Items  int     // publications of the request
	TTL    int64   // milliseconds for which the claim is kept
	Answer []Place // of the publications; nil: not known yet
}

// Place is where a publication is.
type Place struct {
	StreamID string
	Serial   uint64
}

// Known is the id of a publication that was asked for with a key. It is known for longer than other ids are, and also where
// the log does not keep the publication.
type Known struct {
	ID    string
	Place Place // zero: of a topic that keeps nothing
	TTL   int64 // milliseconds
}
