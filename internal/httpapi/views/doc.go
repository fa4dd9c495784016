// Package views is what backends ask about live views over HTTP: mutations, definitions, and the
// revocation of session tokens; and what backends and clients read: the list of views, and the rows of
// one, for first paint (docs/api.md).
//
// It owns the reading of mutations, the admission of clients that read with a session token in the
// place of a signature, with the codes that such clients know (views 1.6 and 1.7), and the bound of
// what they hold by taking no answers. It must never know windows or how entities are kept: it hands
// mutations to the owner of entities and formats what the view engine reports. What is true of every
// request is the business of package httpapi.
//
// Mutations are answered after they are stored, and refused as a whole or not at all. It starts no
// goroutine.
package views
