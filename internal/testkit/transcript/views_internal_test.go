package transcript

import (
	"testing"

	"github.com/millrace/millrace/internal/testkit"
)

func TestCheckViews(t *testing.T) {
	t.Parallel()
	const (
		seq   = `"1893450000123:000000000007"`
		patch = `{"mode":"list","entity":"X/list","op":"patch","key":"a","data":{"n":1,"_seq":` + seq + `},"seq":` + seq + `}`
		rows  = `{"mode":"list","entity":"X/list","op":"snapshot","data":[{"key":"a","data":{"n":1}},{"key":"b","data":{}}],"complete":true}`
		gone  = `{"mode":"state","entity":"X/state","op":"delete","key":"a","data":null}`
		sub   = `{"op":"subscribed","view":"X/list","mode":"list"}`
		issue = `{"type":"error","error":"x","message":"m","code":"x","retryable":true,"fatal":false}`
	)
	tests := []struct {
		name, want string
		op         byte
		got        string
		ok         bool
	}{
		{"a patch, with its cursor left out", `patch X/list a {"n":1}`, testkit.Binary, patch, true},
		{"a patch, with its cursor", `patch X/list a {"n":1,"_seq":` + seq + `}`, testkit.Binary, patch, true},
		{"another cursor", `patch X/list a {"n":1,"_seq":"1"}`, testkit.Binary, patch, false},
		{"other data", `patch X/list a {"n":2}`, testkit.Binary, patch, false},
		{"data too much", `patch X/list a {}`, testkit.Binary, patch, false},
		{"another key", `patch X/list b {"n":1}`, testkit.Binary, patch, false},
		{"another view", `patch X/append a {"n":1}`, testkit.Binary, patch, false},
		{"another op", `upsert X/list a {"n":1}`, testkit.Binary, patch, false},
		{"append that did not come", `patch X/list a {"n":1} append=n`, testkit.Binary, patch, false},
		{"data as text", `patch X/list a {"n":1}`, testkit.Text, patch, false},
		{"an unknown member", `patch X/list a {"n":1}`, testkit.Binary, patch[:len(patch)-1] + `,"x":1}`, false},
		{"a cursor without its form", `patch X/list a {}`, testkit.Binary, `{"mode":"list","entity":"X/list","op":"patch","key":"a","data":{"_seq":"1:2"},"seq":"1:2"}`, false},
		{"seq that is not the cursor", `patch X/list a {}`, testkit.Binary, `{"mode":"list","entity":"X/list","op":"patch","key":"a","data":{"_seq":` + seq + `},"seq":"1"}`, false},
		{"rows in their order", `snapshot X/list a {"n":1} b {}`, testkit.Binary, rows, true},
		{"rows in another order", `snapshot X/list b {} a {"n":1}`, testkit.Binary, rows, false},
		{"a row too much", `snapshot X/list a {"n":1}`, testkit.Binary, rows, false},
		{"rows where there should be none", `snapshot X/list`, testkit.Binary, rows, false},
		{"a row too few", `snapshot X/list a {"n":1} b {} c {}`, testkit.Binary, rows, false},
		{"rows that are counted", `snapshot X/list of 2`, testkit.Binary, rows, true},
		{"rows that are counted wrongly", `snapshot X/list of 3`, testkit.Binary, rows, false},
		{"the last frame is no part", `part X/list of 2`, testkit.Binary, rows, false},
		{"rows of the whole view", `snapshot X/list of 2`, testkit.Binary, rows[:1] + `"whole":true,` + rows[1:], true},
		{"changes are not the whole view", `changes X/list of 2`, testkit.Binary, rows[:1] + `"whole":true,` + rows[1:], false},
		{"changes", `changes X/list of 2`, testkit.Binary, rows[:1] + `"whole":false,` + rows[1:], true},
		{"the whole view is no changes", `snapshot X/list of 2`, testkit.Binary, rows[:1] + `"whole":false,` + rows[1:], false},
		{"a delete", `delete X/state a`, testkit.Binary, gone, true},
		{"a delete elsewhere", `delete X/list a`, testkit.Binary, gone, false},
		{"subscribed", `subscribed X/list`, testkit.Binary, sub, true},
		{"subscribed to another view", `subscribed Y/list`, testkit.Binary, sub, false},
		{"F35 subscribed with data", `subscribed X/list`, testkit.Binary, sub[:len(sub)-1] + `,"data":[]}`, false},
		{"an issue", `issue x`, testkit.Text, issue, true},
		{"an issue that is fatal", `issue x fatal`, testkit.Text, issue, false},
		{"another issue", `issue y`, testkit.Text, issue, false},
		{"an issue as data", `issue x`, testkit.Binary, issue, false},
		{"a message in full", `B ` + sub, testkit.Binary, sub, true},
		{"a member left out", `B {"op":"subscribed","view":"X/list"}`, testkit.Binary, sub, false},
		{"text is not binary", `B ` + sub, testkit.Text, sub, false},
		{"plain is not compressed", `Z ` + sub, testkit.Binary, sub, false},
		{"a close is no message", `subscribed X/list`, testkit.Close, "\x03\xe8", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := checkViews(tt.want, testkit.Frame{Opcode: tt.op, Payload: []byte(tt.got)})
			if (err == nil) != tt.ok {
				t.Errorf("got error %v, want a match: %v", err, tt.ok)
			}
		})
	}
}

func TestWhatStandsBeforeTheFirstCaseBeginsEach(t *testing.T) {
	t.Parallel()
	s, err := parse("x.txt", "config a = 1\nconn a\ncase one\nconfig b = 2\n> a ping\ncase two\n> a pong\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.cases) != 2 || len(s.cases[0].settings) != 2 || len(s.cases[1].settings) != 1 ||
		len(s.cases[0].steps) != 2 || s.cases[0].steps[1].rest != "a ping" || s.cases[1].steps[1].rest != "a pong" {
		t.Errorf("got %+v", s.cases)
	}
	for _, text := range []string{"< a ping\ncase one\n", "case one\nconn a\nconfig a = 1\n", "case one\nconfig a\n"} {
		if _, err := parse("x.txt", text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
