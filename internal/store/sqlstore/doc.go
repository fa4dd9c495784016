// Package sqlstore has the queries of what every SQL store keeps: the apps, and the signatures of
// requests that operators have made. Each query stands here once; a [Dialect] says where two
// databases differ.
//
// An adapter owns its database: connections, schema, transactions, deadlines and errors. It calls
// the methods of [Queries] with a transaction of its own, a [Tx], and adds to an error what an
// operator can do about it.
//
// The package must never know what a document means, nor any driver. It starts no goroutine and has
// no lock.
package sqlstore
