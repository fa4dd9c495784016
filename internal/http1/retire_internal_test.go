package http1

import (
	"net/http"
	"strings"
	"testing"
)

func TestRetireAnswersWhatHasComeAndEndsTheConnection(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	n := start(t, loopback(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
		echo(w, r)
	}), options())
	idle, slow, byNetHTTP := dial(t, n.l), dial(t, n.l), dial(t, n.l)
	idle.say(get)
	idle.hears()
	byNetHTTP.say("DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n")
	byNetHTTP.hears()
	slow.say(asked("/slow") + post + get) // in one piece, so that all of it has come
	<-entered
	n.Retire()
	close(leave)
	for i := range 3 {
		want := "close=false"
		if i == 2 {
			want = "close=true"
		}
		if got := slow.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "\n"+want+" ") {
			t.Errorf("answer %d: %q, want %s", i, got, want)
		}
	}
	if !slow.isClosed() {
		t.Error("the connection goes on after its last answer")
	}
	for name, p := range map[string]*peer{"idle": idle, "new": dial(t, n.l), "with net/http": byNetHTTP} {
		p.say(get)
		if got := p.hears(); !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "\nclose=true ") {
			t.Errorf("the %s connection is answered with %q", name, got)
		}
		if !p.isClosed() {
			t.Errorf("the %s connection goes on", name)
		}
	}
}
