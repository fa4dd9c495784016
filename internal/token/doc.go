// Package token decides who a connection of live views is (views 1.2 to 1.5, 1.9, 1.11,
// 1.12): it finds the token of a request, checks it, and says what it allows. It admits all clients,
// holders of a static token, or holders of a session token (a JWT signed with EdDSA). It
// owns the keys that sign and verify session tokens, published and fetched key sets, the
// list of revoked tokens, and the endpoint that mints tokens.
//
// It must never know connections, views, quotas in use, or how an answer travels: refusals
// are values of protocol.Issue. Secrets never appear in an issue, an error or a log record.
//
// It starts no goroutine. Authenticators are asked on the caller's goroutine and may wait
// for one fetch of a key set, a few seconds at most; a slow key set delays only the connections
// that need it.
package token
