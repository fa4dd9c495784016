// Package link is the way between two nodes, as a state machine: ordered, batched messages with a dense sequence, over
// a connection that may lose, repeat and reorder frames, and may be lost itself.
//
// Each node has one [End] for each peer. It owns the messages that the peer has not confirmed, within a bound, and knows
// up to where it has received the peer's. It must never know how frames travel and what messages say.
//
// A stream is what one life of a node sends to one life of another. Its sequences are dense from 1. The receiving end
// hands over each message of a stream once and in order, or reports it as a part of one [Gap]. A gap stands in the
// order of messages at the place of what is missing. The bound alone makes gaps: a frame that the connection lost is sent
// again. When a node begins another life, both streams between the two nodes begin again at 1, and nothing of the earlier
// streams is handed over any more.
//
// There is no hello. A frame carries the life of its sender and the life that it is meant for, zero as long as the sender
// knows no life of the peer. An end that knows none sends heartbeats only.
//
// Live messages keep their order, and so do bulk messages. A bulk message is overtaken by live messages.
//
// The package does no I/O, starts no goroutine, takes no lock and reads no clock.
package link
