package config

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span that is written with its unit, such as "1m30s".
type Duration time.Duration

// D returns d as the standard type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String returns the shortest text that reads back as d: 120s is "2m0s" to the standard library.
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ParseDuration reads a number and its unit. Its errors say what to write.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(`not a duration; write a number and its unit, such as "30s", "5m" or "1h30m"`)
	}
	if d < 0 {
		return 0, errors.New("below zero")
	}
	return Duration(d), nil
}

// Size is a number of bytes that is written with its unit, such as "64KB".
type Size int64

// Units of a Size: a KB is 1024 bytes.
const (
	KB Size = 1 << 10
	MB Size = 1 << 20
	GB Size = 1 << 30
)

// String returns s in the greatest unit that divides it.
func (s Size) String() string {
	n := int64(s)
	switch {
	case n != 0 && s%GB == 0:
		return strconv.FormatInt(n/int64(GB), 10) + "GB"
	case n != 0 && s%MB == 0:
		return strconv.FormatInt(n/int64(MB), 10) + "MB"
	case n != 0 && s%KB == 0:
		return strconv.FormatInt(n/int64(KB), 10) + "KB"
	}
	return strconv.FormatInt(n, 10) + "B"
}

var errSize = errors.New(`not a size; write a whole number and its unit B, KB, MB or GB, such as "64KB"`)

// MaxSize is the greatest Size. It keeps every size within an int of any machine.
const MaxSize = 1<<31 - 1

// ParseSize reads a whole number and its unit. Its errors say what to write.
func ParseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "BKMG")
	var unit Size
	switch text[len(digits):] {
	case "B":
		unit = 1
	case "KB":
		unit = KB
	case "MB":
		unit = MB
	case "GB":
		unit = GB
	default:
		return 0, errSize
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 40)
	if err != nil {
		return 0, errSize
	}
	if n > MaxSize/uint64(unit) {
		return 0, errors.New("too large; the greatest size is below 2GB")
	}
	return Size(n) * unit, nil
}

// DiskSize is a number of bytes on a disk, of which there may be more than a Size has. It is written as a
// Size is, or in TB.
type DiskSize int64

// TB is 1024 GB.
const TB = DiskSize(GB) << 10

// String returns s in the greatest unit that divides it.
func (s DiskSize) String() string {
	if s != 0 && s%TB == 0 {
		return strconv.FormatInt(int64(s/TB), 10) + "TB"
	}
	return Size(s).String()
}

// ParseDiskSize reads a whole number and its unit. Its errors say what to write.
func ParseDiskSize(text string) (DiskSize, error) {
	unit, digits := DiskSize(GB), strings.TrimSuffix(text, "GB")
	if whole, isTB := strings.CutSuffix(text, "TB"); isTB {
		unit, digits = TB, whole
	}
	if digits == text {
		s, err := ParseSize(text)
		return DiskSize(s), err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 32)
	if err != nil {
		return 0, errors.New(`not a size; write a whole number and its unit B, KB, MB, GB or TB, such as "100GB"`)
	}
	if n > uint64(1024*TB/unit) {
		return 0, errors.New("too large; the greatest size is 1024TB")
	}
	return DiskSize(n) * unit, nil
}

// Secret is a text that is never printed: every way of formatting it gives ***. Reveal is
// the only way to it.
type Secret string

// Hidden is shown in the place of a secret.
const Hidden = "***"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
