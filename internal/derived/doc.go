// Package derived computes what a derived view shows: which entities its source has for it, in which
// order or in what total, and what a group of changes does to a window of its rows (views 5.3 to 5.5).
//
// It knows versions of entities and plans of definitions. It must never know which view derives from
// which, who watches, or what is published.
//
// # Cost
//
// A change that moves an entity costs two steps in a tree whose depth grows with the logarithm of the
// rows. A change outside of a window costs the window two comparisons. A window holds no rows.
//
// # Goroutines
//
// None, and no locks: what a caller does with the rows of one view, it does one at a time.
package derived
