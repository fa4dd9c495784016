package directory

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"

	"github.com/millrace/millrace/internal/app"
)

// document is an app document, its members as they are spelled.
type document map[string]json.RawMessage

func (d document) encode() []byte { return encode(d) }

func (d document) set(key string, value any) { d[key] = encode(value) }

// encode is the JSON of what has one, without the escapes for HTML.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // texts, and what has been read as JSON
	return bytes.TrimSpace(b.Bytes())
}

// text is a member that is a text, empty otherwise: Parse reports the problem.
func (d document) text(key string) string {
	var s string
	_ = json.Unmarshal(d[key], &s)
	return s
}

// keys are the further keys.
func (d document) keys() []document {
	var list []document
	_ = json.Unmarshal(d["keys"], &list)
	return list
}

func isObject(raw []byte) bool {
	var d document
	return json.Unmarshal(raw, &d) == nil && d != nil
}

// maxDepth bounds the nesting of patches. Merging takes time with its square, and documents
// have a handful of levels.
const maxDepth = 64

// isDeep reports whether valid JSON is nested deeper than maxDepth.
func isDeep(raw []byte) bool {
	depth, isText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case isText && c == '\\':
			i++
		case c == '"':
			isText = !isText
		case isText:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// merge applies a JSON merge patch (RFC 7396): members of patch replace members of target, objects
// are merged, and null removes. Both are valid JSON.
func merge(target, patch []byte) []byte {
	var changes document
	if json.Unmarshal(patch, &changes) != nil || changes == nil {
		return patch
	}
	var merged document
	if json.Unmarshal(target, &merged) != nil || merged == nil {
		merged = document{}
	}
	for key, value := range changes {
		if string(bytes.TrimSpace(value)) == "null" {
			delete(merged, key)
			continue
		}
		merged[key] = merge(merged[key], value)
	}
	return merged.encode()
}

// newCredential makes a key with all rights. Its secret has 256 bits of chance.
func newCredential() app.Credential {
	return app.Credential{Key: chance(10), Secret: chance(32), Rights: app.RightsAll}
}

func chance(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
