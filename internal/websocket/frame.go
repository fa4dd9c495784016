// Package websocket is the frame layer of RFC 6455 as pure functions over bytes: headers,
// masking, close payloads and the accept key. It does no I/O and keeps no state; package
// socket builds connections on it, package hub prebuilds the frames it fans out.
package websocket

import (
	"encoding/binary"
	"errors"
)

// Opcode is the type of a frame (RFC 6455 5.2).
type Opcode byte

// Opcodes in use; all others are a protocol error.
const (
	OpContinuation Opcode = 0x0
	OpText         Opcode = 0x1
	OpBinary       Opcode = 0x2
	OpClose        Opcode = 0x8
	OpPing         Opcode = 0x9
	OpPong         Opcode = 0xA
)

// IsControl reports whether op is a control frame, which may come between the fragments of
// a message.
func (op Opcode) IsControl() bool { return op&0x8 != 0 }

const (
	// MaxHeader is the longest frame header: 2 bytes, an 8-byte length and a mask.
	MaxHeader = 14
	// MaxControl is the longest payload of a control frame (RFC 6455 5.5).
	MaxControl = 125

	finBit  = 0x80
	rsvBits = 0x70
	maskBit = 0x80
)

// Violations of the frame layer; each closes the connection with 1002.
var (
	ErrReserved     = errors.New("websocket: reserved bit or opcode")
	ErrControl      = errors.New("websocket: control frame fragmented or longer than 125 bytes")
	ErrLength       = errors.New("websocket: length not in its shortest form or out of range")
	ErrClosePayload = errors.New("websocket: malformed close frame")
)

// Header is the decoded start of a frame.
type Header struct {
	Fin    bool
	Masked bool
	Op     Opcode
	Mask   [4]byte
	Length int // of the payload
}

// ParseHeader reads a header from the front of b. n is its size in bytes, zero if b does
// not hold all of it yet.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	h = Header{Fin: b[0]&finBit != 0, Op: Opcode(b[0] & 0x0f), Masked: b[1]&maskBit != 0}
	if b[0]&rsvBits != 0 || h.Op > OpPong || (h.Op > OpBinary && h.Op < OpClose) {
		return Header{}, 0, ErrReserved
	}
	h.Length, n, err = parseLength(b)
	if n == 0 || err != nil {
		return Header{}, 0, err
	}
	if h.Op.IsControl() && (!h.Fin || h.Length > MaxControl) {
		return Header{}, 0, ErrControl
	}
	if h.Masked {
		if len(b) < n+4 {
			return Header{}, 0, nil
		}
		copy(h.Mask[:], b[n:])
		n += 4
	}
	return h, n, nil
}

// parseLength reads the payload length; n is where it ends, zero if b is too short.
func parseLength(b []byte) (length, n int, err error) {
	switch l := int(b[1] &^ maskBit); l {
	case 126:
		if len(b) < 4 {
			return 0, 0, nil
		}
		if length = int(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return 0, 0, ErrLength
		}
		return length, 4, nil
	case 127:
		if len(b) < 10 {
			return 0, 0, nil
		}
		u := binary.BigEndian.Uint64(b[2:])
		if u <= 0xffff || u > 1<<62 {
			return 0, 0, ErrLength
		}
		return int(u), 10, nil
	default:
		return l, 2, nil
	}
}

// AppendHeader appends the header of an unmasked, unfragmented frame of n payload bytes.
func AppendHeader(dst []byte, op Opcode, n int) []byte {
	return appendHeader(dst, op, n, 0)
}

func appendHeader(dst []byte, op Opcode, n int, mask byte) []byte {
	dst = append(dst, finBit|byte(op))
	switch {
	case n < 126:
		return append(dst, mask|byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(n))
	}
}

// AppendFrame appends one whole frame as a server sends it: not masked, not fragmented.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendMaskedFrame appends one whole frame as a client sends it, masked with key.
func AppendMaskedFrame(dst []byte, op Opcode, payload []byte, key [4]byte) []byte {
	dst = append(appendHeader(dst, op, len(payload), maskBit), key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	Mask(key, dst[start:])
	return dst
}

// Mask applies key to b in place, which masks and unmasks (RFC 6455 5.3). b must start at
// the start of a payload.
func Mask(key [4]byte, b []byte) {
	k4 := binary.LittleEndian.Uint32(key[:])
	k8 := uint64(k4)<<32 | uint64(k4)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k8)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

// FrameLen is the size of the whole frame at the front of b, header included; zero if b
// does not hold the whole header or it is malformed. It walks runs of prebuilt frames.
func FrameLen(b []byte) int {
	h, n, err := ParseHeader(b)
	if n == 0 || err != nil {
		return 0
	}
	return n + h.Length
}
