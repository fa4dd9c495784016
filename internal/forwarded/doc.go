// Package forwarded says where a request comes from when proxies stand before the server: the
// address of the client, and whether the client speaks TLS. It reads X-Forwarded-For, X-Real-IP,
// Forwarded (RFC 7239) and X-Forwarded-Proto, in every spelling that proxies write, and believes
// only the proxies that the operator has named.
//
// It must never know the use of an address. It starts no goroutine.
package forwarded
