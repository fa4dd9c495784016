// Package storm cuts a crowd of connections off a server all at once and measures what those who stay
// notice: their latency, the member_removed that they are told, and what the server's webhooks tell
// an endpoint. Each effect is expected once.
//
// The crowd is a process of its own that is killed (the benchmark binary as [RunCrowd]); the rest
// of [Measure] runs beside the load generator. It knows the wire, the webhooks and the names of
// the metrics of Millrace, and never a bar: the report judges. Its goroutines, of the engine of the
// witnesses and of the endpoint, end with Measure and [Endpoint.Close].
package storm
