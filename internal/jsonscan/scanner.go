package jsonscan

// Scanner reads the tokens of a valid text from left to right. What it returns are parts of
// the text. The zero Scanner is at the end.
type Scanner struct {
	text Value
	at   int // behind what was read last
}

// Scan returns a scanner before the first token of v. v may end where a member or an element
// ends, without the brackets that would close it.
func (v Value) Scan() Scanner { return Scanner{text: v} }

// Offset is where in the text the scanner is: behind what it read last.
func (s *Scanner) Offset() int { return s.at }

// Token is the next token as it is written: one bracket, a string, a number or a literal.
// Commas and colons are no tokens. It is nil at the end.
func (s *Scanner) Token() Value {
	for text, i := s.text, s.at; i < len(text); i++ {
		end := i + 1
		switch text[i] {
		case ',', ':', ' ', '\t', '\n', '\r':
			continue
		case '"':
			end = text.stringEnd(i)
		case '{', '}', '[', ']':
		default:
			for end < len(text) && !isDelimiter(text[end]) {
				end++
			}
		}
		s.at = end
		return text[i:end]
	}
	s.at = len(s.text)
	return nil
}

// Skip is the whole next value or, where there is none, the next token.
func (s *Scanner) Skip() Value {
	token := s.Token()
	if k := token.Kind(); k != Object && k != Array {
		return token
	}
	from := s.at - 1
	s.Leave()
	return s.text[from:s.at]
}

// Leave goes behind the bracket that closes the innermost object or array that is open.
func (s *Scanner) Leave() {
	text, i := s.text, s.at
	for open := 1; i < len(text); {
		switch text[i] {
		case '"':
			i = text.stringEnd(i)
			continue
		case '{', '[':
			open++
		case '}', ']':
			open--
		}
		if i++; open == 0 {
			break
		}
	}
	s.at = i
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', ':', ' ', '\t', '\n', '\r', '{', '}', '[', ']', '"':
		return true
	}
	return false
}
