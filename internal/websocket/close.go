package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Status codes of RFC 6455 7.4.1 that the server itself sends or interprets.
const (
	CloseNormal     = 1000
	CloseGoingAway  = 1001
	CloseProtocol   = 1002
	CloseNoStatus   = 1005 // never on the wire: a close frame without a code
	CloseAbnormal   = 1006 // never on the wire: the connection was cut
	CloseInvalid    = 1007
	CloseTooLarge   = 1009
	CloseInternal   = 1011
	maxCloseReason  = MaxControl - 2
	firstAppCode    = 3000
	lastAppCode     = 4999
	lastDefinedCode = 1014
)

// AppendClose appends a server's close frame. The reason is cut to 123 bytes at a
// character boundary.
func AppendClose(dst []byte, code int, reason string) []byte {
	return AppendFrame(dst, OpClose, AppendClosePayload(nil, code, reason))
}

// AppendClosePayload appends the payload of a close frame; nothing for CloseNoStatus.
func AppendClosePayload(dst []byte, code int, reason string) []byte {
	if code == CloseNoStatus {
		return dst
	}
	if len(reason) > maxCloseReason {
		cut := maxCloseReason
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), reason...)
}

// ParseClose reads the payload of a received close frame. An empty one is CloseNoStatus.
// A code that must not be on the wire, or a reason that is not UTF-8, is ErrClosePayload.
func ParseClose(payload []byte) (code int, reason string, err error) {
	switch len(payload) {
	case 0:
		return CloseNoStatus, "", nil
	case 1:
		return 0, "", ErrClosePayload
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !validCode(code) || !utf8.Valid(payload[2:]) {
		return 0, "", ErrClosePayload
	}
	return code, string(payload[2:]), nil
}

func validCode(code int) bool {
	switch {
	case code >= firstAppCode && code <= lastAppCode:
		return true
	case code == 1004 || code == CloseNoStatus || code == CloseAbnormal:
		return false
	default:
		return code >= CloseNormal && code <= lastDefinedCode
	}
}
