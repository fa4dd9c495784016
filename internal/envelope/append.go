package envelope

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/protocol"
	"github.com/millrace/millrace/internal/varint"
)

// FormVersion is of the form that Append writes.
const FormVersion = 1

// Numbers of the fields of a publication. A number is never used for something else.
const (
	fieldKind = 1 + iota
	fieldTime
	fieldStreamID
	fieldSerial
	fieldEpoch
	fieldMessageID
	fieldEvent
	fieldName
	fieldCount
	fieldContent
	fieldContentType
	fieldUserID
	fieldFlags
	fieldExcept
	fieldTags
	fieldExtras
	fieldVersion
	fieldIdempotencyKey
	fieldDigest

	// fieldData is behind all that may ever come.
	fieldData = 1 << 12
)

// Flags of fieldFlags.
const (
	flagNumericID = 1 << iota
	flagNoDelta

	allFlags = 1<<iota - 1
)

// Fields of Extras.
const (
	extraHeaders = 1 + iota
	extraIdempotencyKey
	extraFlags
	extraPush
)

// Flags of extraFlags.
const (
	flagEphemeral = 1 << iota
	flagHasEcho
	flagEcho

	allExtraFlags = 1<<iota - 1
)

// Fields of Version.
const (
	versionAction = 1 + iota
	versionMessageSerial
	versionSerial
	versionHistorySerial
	versionTime
	versionClientID
	versionCreatorID
	versionDescription
	versionMetadata
	versionFlags
)

// Flags of versionFlags.
const (
	flagClearsName = 1 << iota
	flagClearsData
	flagClearsExtras

	allVersionFlags = 1<<iota - 1
)

// Append appends the envelope of p to dst.
//
//millrace:hot BenchmarkAppend
func Append(dst []byte, p *Publication) []byte {
	return AppendData(AppendWithoutData(dst, p), p.Data)
}

// AppendData completes an envelope that has no data.
func AppendData(dst, data []byte) []byte { return appendBytes(dst, fieldData, data) }

// SizeOfData is how many bytes AppendData appends.
func SizeOfData(data []byte) int {
	if len(data) == 0 {
		return 0
	}
	return varint.Size(fieldData<<1|1) + varint.Size(uint64(len(data))) + len(data)
}

// AppendWithoutData appends the envelope of p but for its data.
func AppendWithoutData(dst []byte, p *Publication) []byte {
	dst = append(dst, FormVersion)
	dst = appendNumber(dst, fieldKind, uint64(p.Kind))
	dst = appendNumber(dst, fieldTime, zigzag(p.Time))
	dst = appendText(dst, fieldStreamID, p.StreamID)
	dst = appendNumber(dst, fieldSerial, p.Serial)
	dst = appendNumber(dst, fieldEpoch, p.Epoch)
	dst = appendText(dst, fieldMessageID, p.MessageID)
	dst = appendText(dst, fieldEvent, p.Event)
	dst = appendText(dst, fieldName, p.Name)
	dst = appendNumber(dst, fieldCount, p.Count)
	dst = appendNumber(dst, fieldContent, uint64(p.Content))
	dst = appendText(dst, fieldContentType, p.ContentType)
	dst = appendText(dst, fieldUserID, p.UserID)
	dst = appendNumber(dst, fieldFlags, bit(p.HasNumericID, flagNumericID)|bit(p.NoDelta, flagNoDelta))
	if !p.Except.IsZero() {
		var room [32]byte
		dst = appendBytes(dst, fieldExcept, p.Except.Append(room[:0]))
	}
	if len(p.Tags) > 0 {
		start := len(dst)
		for i := range p.Tags {
			dst = varint.Append(varint.Append(dst, p.Tags[i].Key), p.Tags[i].Value)
		}
		dst = enclose(dst, start, fieldTags)
	}
	if p.Extras != nil {
		start := len(dst)
		dst = enclose(appendExtras(dst, p.Extras), start, fieldExtras)
	}
	if p.Version != nil {
		start := len(dst)
		dst = enclose(appendVersion(dst, p.Version), start, fieldVersion)
	}
	dst = appendText(dst, fieldIdempotencyKey, p.IdempotencyKey)
	return appendBytes(dst, fieldDigest, p.Digest)
}

func appendExtras(dst []byte, e *protocol.Extras) []byte {
	if len(e.Headers) > 0 {
		start := len(dst)
		for i := range e.Headers {
			dst = appendHeader(dst, &e.Headers[i])
		}
		dst = enclose(dst, start, extraHeaders)
	}
	dst = appendText(dst, extraIdempotencyKey, e.IdempotencyKey)
	dst = appendNumber(dst, extraFlags, bit(e.IsEphemeral, flagEphemeral)|bit(e.HasEcho, flagHasEcho)|bit(e.HasEcho && e.Echo, flagEcho))
	return appendBytes(dst, extraPush, e.Push)
}

// appendHeader appends the name, the kind and the value.
func appendHeader(dst []byte, h *protocol.Header) []byte {
	dst = append(varint.Append(dst, h.Name), byte(h.Kind))
	switch h.Kind {
	case protocol.HeaderNumber:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(h.Number))
	case protocol.HeaderBool:
		return append(dst, byte(bit(h.Bool, 1)))
	default:
		return varint.Append(dst, h.Text)
	}
}

func appendVersion(dst []byte, v *Version) []byte {
	dst = appendNumber(dst, versionAction, uint64(v.Action))
	dst = appendText(dst, versionMessageSerial, v.MessageSerial)
	dst = appendText(dst, versionSerial, v.VersionSerial)
	dst = appendNumber(dst, versionHistorySerial, v.HistorySerial)
	dst = appendNumber(dst, versionTime, zigzag(v.Time))
	dst = appendText(dst, versionClientID, v.ClientID)
	dst = appendText(dst, versionCreatorID, v.CreatorID)
	dst = appendText(dst, versionDescription, v.Description)
	dst = appendBytes(dst, versionMetadata, v.Metadata)
	return appendNumber(dst, versionFlags,
		bit(v.ClearsName, flagClearsName)|bit(v.ClearsData, flagClearsData)|bit(v.ClearsExtras, flagClearsExtras))
}

func appendNumber(dst []byte, field, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return binary.AppendUvarint(binary.AppendUvarint(dst, field<<1), n)
}

func appendText(dst []byte, field uint64, s string) []byte {
	if s == "" {
		return dst
	}
	return varint.Append(binary.AppendUvarint(dst, field<<1|1), s)
}

func appendBytes(dst []byte, field uint64, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	return varint.Append(binary.AppendUvarint(dst, field<<1|1), b)
}

// enclose makes a field of what was appended since start.
func enclose(dst []byte, start int, field uint64) []byte {
	var room [2 * binary.MaxVarintLen64]byte
	head := binary.AppendUvarint(binary.AppendUvarint(room[:0], field<<1|1), uint64(len(dst)-start))
	return slices.Insert(dst, start, head...)
}

func bit(is bool, flag uint64) uint64 {
	if is {
		return flag
	}
	return 0
}

func zigzag(n int64) uint64 { return uint64(n)<<1 ^ uint64(n>>63) }

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }
