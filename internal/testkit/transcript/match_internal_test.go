package transcript

import "testing"

func TestMatchJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want, got string
		ok              bool
	}{
		{"the order of keys means nothing", `{"a":1,"b":[2]}`, `{"b":[2],"a":1}`, true},
		{"a key too much", `{"a":1}`, `{"a":1,"b":2}`, false},
		{"a key too few", `{"a":1,"b":2}`, `{"a":1}`, false},
		{"a string is no object", `{"data":{}}`, `{"data":"{}"}`, false},
		{"an object is no string", `{"data":"{}"}`, `{"data":{}}`, false},
		{"plain strings are compared to the letter", `{"data":"{\"a\":1}"}`, `{"data":"{\"a\": 1}"}`, false},
		{"nested JSON is compared by meaning", `{"data":'{"a":1,"b":2}'}`, `{"data":"{\"b\": 2, \"a\": 1}"}`, true},
		{"nested JSON must be a string", `{"data":'{"a":1}'}`, `{"data":{"a":1}}`, false},
		{"nested JSON that differs", `{"data":'{"a":1}'}`, `{"data":"{\"a\":2}"}`, false},
		{"arrays are ordered", `[1,2]`, `[2,1]`, false},
		{"ids are not", `{"ids":["a","b"]}`, `{"ids":["b","a"]}`, true},
		{"but none may appear twice", `{"ids":["a","b"]}`, `{"ids":["a","a"]}`, false},
		{"any text", `"{{any}}"`, `"x"`, true},
		{"an empty text is none", `"{{any}}"`, `""`, false},
		{"any text within one", `"in {{any}} s"`, `"in 60 s"`, true},
		{"none within one", `"in {{any}} s"`, `"in  s"`, false},
		{"any text within another one", `"in {{any}} s"`, `"in 60 ms"`, false},
		{"a socket id", `"{{socket-id}}"`, `"1.2"`, true},
		{"no socket id", `"{{socket-id}}"`, `"1.x"`, false},
		{"a number is no string", `{"ids":[1]}`, `{"ids":["1"]}`, false},
		{"numbers that a double does not tell apart", `12345678901234567891`, `12345678901234567892`, false},
		{"a number written in another way", `1`, `1.0`, false},
		{"null is not absence", `{"a":null}`, `{}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := matchJSON(tt.want, tt.got); (err == nil) != tt.ok {
				t.Errorf("got error %v, want a match: %v", err, tt.ok)
			}
		})
	}
}
