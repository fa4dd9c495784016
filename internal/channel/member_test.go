package channel_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/protocol"
)

func TestParseMember(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		title, data  string
		userID, info string
		isNumber     bool
	}{
		{"a string id and an object", `{"user_id":"u-9","user_info":{"name":"Ida"}}`, "u-9", `{"name":"Ida"}`, false},
		{"info is compacted", ` { "user_id" : "u-9" , "user_info" : { "name" : "I da" , "x" : [ ] } } `, "u-9", `{"name":"I da","x":[]}`, false},
		{"no info is an empty object", `{"user_id":"u-9"}`, "u-9", `{}`, false},
		{"info may be null", `{"user_id":"u-9","user_info":null}`, "u-9", `null`, false},
		{"info may be a string", `{"user_id":"u-9","user_info":"<&\u2028"}`, "u-9", `"<&\u2028"`, false},
		{"a number becomes its text", `{"user_id":9}`, "9", `{}`, true},
		{"a number that no double holds", `{"user_id":12345678901234567891}`, "12345678901234567891", `{}`, true},
		{"minus zero", `{"user_id":-0}`, "-0", `{}`, true},
		{"a string of digits", `{"user_id":"9"}`, "9", `{}`, false},
		{"a number is not normalised", `{"user_id": -1.50E3 }`, "-1.50E3", `{}`, true},
		{"an escaped id", `{"user_id":"\u0075-9\ud83d\ude00"}`, "u-9\U0001F600", `{}`, false},
		{"an id of 128 bytes", `{"user_id":"` + text(128) + `"}`, text(128), `{}`, false},
		{"the last of equal keys counts", `{"user_id":1,"user_id":"u-9","user_info":1,"user_info":2}`, "u-9", `2`, false},
		{"keys are case-sensitive", `{"User_Id":"a","user_id":"u-9","USER_INFO":1}`, "u-9", `{}`, false},
		{"info of exactly the limit", `{"user_id":"u-9","user_info":["` + text(2044) + `"]}`, "u-9", `["` + text(2044) + `"]`, false},
		{"info of the limit once compact", `{"user_id":"u-9","user_info":[ "` + text(2044) + `" ]}`, "u-9", `["` + text(2044) + `"]`, false},
		{"a string counts its own bytes", `{"user_id":"u-9","user_info":"` + strings.Repeat(`\n`, 2048) + `"}`, "u-9", `"` + strings.Repeat(`\n`, 2048) + `"`, false},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			got, err := channel.ParseMember(test.data, 2048)
			if err != nil {
				t.Fatalf("got error %v", err)
			}
			want := protocol.Member{UserID: test.userID, Info: []byte(test.info), HasNumericID: test.isNumber}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("member (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseMemberRefuses(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	badData := func(e *protocol.Error) bool { return e.Type == protocol.TypeChannelData && e.Status == 4300 }
	tooLarge := func(e *protocol.Error) bool { return e.Type == protocol.TypeLimit && e.Status == 4301 }
	tests := []struct {
		title, data string
		want        func(*protocol.Error) bool
	}{
		{"nothing", ``, badData},
		{"not JSON", `u-9`, badData},
		{"null", `null`, badData},
		{"an array", `["u-9"]`, badData},
		{"a string", `"u-9"`, badData},
		{"more after the object", `{"user_id":"u-9"} x`, badData},
		{"no user_id", `{}`, badData},
		{"an empty user_id", `{"user_id":""}`, badData},
		{"a user_id that is null", `{"user_id":null}`, badData},
		{"a user_id that is true", `{"user_id":true}`, badData},
		{"a user_id that is an object", `{"user_id":{"a":1}}`, badData},
		{"a last user_id of a wrong type", `{"user_id":"u-9","user_id":[]}`, badData},
		{"a user_id of 129 bytes", `{"user_id":"` + text(129) + `"}`, badData},
		{"a number of 129 bytes", `{"user_id":` + strings.Repeat("1", 129) + `}`, badData},
		{"broken UTF-8", "{\"user_id\":\"\xff\"}", badData},
		{"deep nesting", `{"user_id":"u","user_info":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, badData},
		{"info one byte over the limit", `{"user_id":"u-9","user_info":["` + text(2045) + `"]}`, tooLarge},
		{"a string one byte over the limit", `{"user_id":"u-9","user_info":"` + text(2049) + `"}`, tooLarge},
	}
	for _, test := range tests {
		t.Run(test.title, func(t *testing.T) {
			t.Parallel()
			if m, err := channel.ParseMember(test.data, 2048); err == nil || !test.want(err) {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
}

func TestParseMemberWithoutLimit(t *testing.T) {
	t.Parallel()
	data := `{"user_id":"u-9","user_info":"` + strings.Repeat("x", 1<<16) + `"}`
	if _, err := channel.ParseMember(data, 0); err != nil {
		t.Errorf("got %v", err)
	}
}

func FuzzParseMember(f *testing.F) {
	for _, s := range []string{`{"user_id":"u-9","user_info":{"name":"Ida"}}`, `{"user_id":9}`, `{"user_id":1e3,"user_info":" x "}`, `null`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		m, err := channel.ParseMember(data, 64)
		if err != nil {
			return
		}
		if m.UserID == "" || len(m.UserID) > 128 || len(m.Info) == 0 {
			t.Fatalf("%q became %q, %q", data, m.UserID, m.Info)
		}
		again, err := channel.ParseMember(`{"user_id":"x","user_info":`+string(m.Info)+`}`, 64)
		if err != nil || string(again.Info) != string(m.Info) {
			t.Fatalf("%q was not compact JSON: %v", m.Info, err)
		}
	})
}
