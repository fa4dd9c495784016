package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
)

const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// AppendAccept appends the Sec-WebSocket-Accept value that answers key (RFC 6455 4.2.2).
func AppendAccept(dst []byte, key string) []byte {
	var in [24 + len(acceptGUID)]byte
	sum := sha1.Sum(append(append(in[:0], key...), acceptGUID...))
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// CheckUpgrade says why r is no WebSocket upgrade request, as an HTTP status and a
// sentence; status is zero for a good one (RFC 6455 4.2.1).
func CheckUpgrade(r *http.Request) (status int, hint string) {
	h := r.Header
	switch {
	case !headerHasToken(h, "Connection", "upgrade") || !headerHasToken(h, "Upgrade", "websocket"):
		return http.StatusUpgradeRequired, "This address speaks WebSocket; send an upgrade request"
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "A WebSocket upgrade is a GET request of HTTP/1.1"
	case h.Get("Sec-Websocket-Version") != "13":
		return http.StatusUpgradeRequired, "Only WebSocket version 13 is spoken here"
	case !validKey(h.Get("Sec-Websocket-Key")):
		return http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64"
	}
	return 0, ""
}

func validKey(key string) bool {
	var b [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], []byte(key))
	return err == nil && n == 16
}

// headerHasToken looks for a token in a comma-separated header, without regard to case.
func headerHasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
