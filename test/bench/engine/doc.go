// Package engine runs the engines of a node alone, in processes of their own, so that their speed
// and memory are measured without a network and without the load generator: the owner of entities with
// its views, which takes orders on standard input, and the outbox with its store.
//
// Such a process is the benchmark binary itself. Loss and disorder are errors; speed never is. One
// goroutine per caller of the owner of entities, and those that run the engines; [Run] and
// [RunWebhooks] join them.
package engine
