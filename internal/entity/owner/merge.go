package owner

import "github.com/millrace/millrace/internal/jsonscan"

// merger merges patches into stored entities (views 5.6) without decoding either: what
// a patch does not name is copied in long runs. It is owned by the applier and recurses no
// deeper than the patch is nested.
type merger struct {
	maxArray int

	out      []byte // the result
	stored   []byte
	from     int // of stored, up to which it is in out
	text     []byte
	fields   []field
	elements []int // where the elements of a stored array begin
}

// merge returns the body of an entity into whose body the data of a patch has been merged. It
// is valid until the next call.
//
//millrace:hot BenchmarkApply TestMergeAllocs
func (m *merger) merge(body []byte, p *pending, patch *prepared) []byte {
	m.out, m.stored, m.from = m.out[:0], body, 0
	m.text, m.fields = p.text, p.fields
	s := jsonscan.Value(body).Scan()
	s.Token()
	m.object(&s, patch.first, patch.count)
	m.out = append(m.out, m.stored[m.from:]...)
	return m.out
}

// object merges the fields from first on into the stored object that s has entered, and
// leaves it. Only the outermost, a body, ends without its bracket.
func (m *merger) object(s *jsonscan.Scanner, first, count int32) {
	var byKey map[string]int32
	guess, isNested := first, s.Offset() > 1
	for left := count; left > 0; left-- {
		for {
			key := s.Token()
			if key == nil || key[0] == '}' {
				m.copyTo(s.Offset() - len(key))
				m.add(first)
				return
			}
			if byKey == nil && count > fewKeys && !m.is(guess, key) {
				byKey = m.index(first)
			}
			if found := m.find(byKey, guess, first, key); found != 0 {
				m.replace(s, &m.fields[found])
				guess = m.fields[found].next
				break
			}
			s.Skip()
		}
	}
	if isNested {
		s.Leave()
	}
}

// is reports whether a field has a key.
func (m *merger) is(index int32, key []byte) bool {
	f := &m.fields[index]
	return index != 0 && string(m.text[f.key.from:f.key.to]) == string(key)
}

// find is the field with a key, from first on; 0 if there is none. Fields come in the order
// of the stored members more often than not, hence the guess.
func (m *merger) find(byKey map[string]int32, guess, first int32, key []byte) int32 {
	if m.is(guess, key) {
		return guess
	}
	if byKey != nil {
		return byKey[string(key)]
	}
	for i := first; i != 0; i = m.fields[i].next {
		if m.is(i, key) {
			return i
		}
	}
	return 0
}

func (m *merger) index(first int32) map[string]int32 {
	byKey := map[string]int32{}
	for i := first; i != 0; i = m.fields[i].next {
		f := &m.fields[i]
		byKey[string(m.text[f.key.from:f.key.to])] = i
	}
	return byKey
}

// replace merges f into the stored value that comes next.
func (m *merger) replace(s *jsonscan.Scanner, f *field) {
	f.isMerged = true
	value := s.Token()
	kind, at := value.Kind(), s.Offset()-len(value)
	switch {
	case kind == jsonscan.Object && f.kind == jsonscan.Object:
		m.object(s, f.child, f.count)
		return
	case kind == jsonscan.Array && f.isAppend:
		m.copyTo(at)
		m.concat(s, f)
	default:
		m.copyTo(at)
		m.out = append(m.out, m.text[f.value.from:f.value.to]...)
		if kind == jsonscan.Object || kind == jsonscan.Array {
			s.Leave()
		}
	}
	m.from = s.Offset()
}

// concat appends the elements of f to the stored array that s has entered. f has no
// more than maxArray itself.
func (m *merger) concat(s *jsonscan.Scanner, f *field) {
	m.elements = m.elements[:0]
	for {
		element := s.Skip()
		if element[0] == ']' {
			break
		}
		m.elements = append(m.elements, s.Offset()-len(element))
	}
	m.out = append(m.out, '[')
	drop := max(len(m.elements)+int(f.count)-m.maxArray, 0)
	if drop < len(m.elements) {
		m.out = append(m.out, m.stored[m.elements[drop]:s.Offset()-1]...)
		if f.count > 0 {
			m.out = append(m.out, ',')
		}
	}
	m.out = append(m.out, m.text[f.value.from+1:f.value.to]...)
}

// add writes the fields that the stored object does not have.
func (m *merger) add(first int32) {
	for i := first; i != 0; i = m.fields[i].next {
		f := &m.fields[i]
		if f.isMerged {
			continue
		}
		if m.out[len(m.out)-1] != '{' {
			m.out = append(m.out, ',')
		}
		m.out = append(m.out, m.text[f.key.from:f.value.to]...)
	}
}

// copyTo copies what is stored up to a place.
func (m *merger) copyTo(at int) {
	m.out = append(m.out, m.stored[m.from:at]...)
	m.from = at
}
