package auth_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/auth"
)

const (
	vectorBody = `{"name":"tick","channel":"prices","data":"{\"p\":1}"}`
	vectorPost = "auth_key=mill-key&auth_timestamp=1700000000&auth_version=1.0" +
		"&body_md5=941a1d04adeab2764127b1f390bf63a6" +
		"&auth_signature=b2b7362037828853a33438ad08f8d807bb56f026eb7309a5b0f829ec761455ae"
	vectorGet = "auth_key=mill-key&auth_timestamp=1700000000&auth_version=1.0" +
		"&filter_by_prefix=presence-&info=user_count" +
		"&auth_signature=d17a54208742c8f5394b00205416f612ff54f4c0696e19ed5b9a5836b55a3361"
)

func vectorTime() time.Time { return time.Unix(1700000000, 0) }

func post() auth.Request {
	return auth.Request{Method: "POST", Path: "/apps/77/events", Body: []byte(vectorBody)}
}

// below is r at a server that is reached below prefix.
func below(r auth.Request, prefix string) auth.Request {
	r.Prefix = prefix
	return r
}

func get() auth.Request { return auth.Request{Method: "GET", Path: "/apps/77/channels"} }

// verify parses and verifies, as the HTTP API does.
func verify(r auth.Request, rawQuery string, now time.Time) error {
	var p auth.Params
	if err := auth.ParseQuery(&p, rawQuery); err != nil {
		return err
	}
	return new(auth.Verifier).VerifyRequest(r, &p, secret, now)
}

// sign is a second, naive reading of pusher 5.2 over decoded pairs.
func sign(method, path string, pairs ...string) string {
	slices.Sort(pairs)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(method + "\n" + path + "\n" + strings.Join(pairs, "&")))
	return hex.EncodeToString(mac.Sum(nil))
}

var stamp = []string{"auth_key=mill-key", "auth_timestamp=1700000000", "auth_version=1.0"}

func signedGet(extra ...string) string {
	return strings.Join(stamp, "&") + "&auth_signature=" + sign("GET", "/apps/77/channels", slices.Concat(stamp, extra)...)
}

func TestVerifyRequestAccepts(t *testing.T) {
	t.Parallel()
	empty := md5.Sum(nil)
	emptyMD5 := "body_md5=" + hex.EncodeToString(empty[:])
	emptyPost := auth.Request{Method: "POST", Path: "/apps/77/users/u/terminate_connections"}
	base := strings.Join(stamp, "&")
	getWithMD5 := base + "&" + emptyMD5 + "&auth_signature=" + sign("GET", "/apps/77/channels", append(slices.Clone(stamp), emptyMD5)...)
	terminate := func(id string) auth.Request {
		return auth.Request{Method: "POST", Path: "/apps/77/users/" + id + "/terminate_connections"}
	}
	signedPath := func(id string) string {
		return base + "&auth_signature=" + sign("POST", terminate(id).Path, slices.Clone(stamp)...)
	}
	tests := []struct {
		name  string
		req   auth.Request
		query string
	}{
		{"the POST vector", post(), vectorPost},
		{"the GET vector", get(), vectorGet},
		{"keys in mixed case", get(), strings.NewReplacer("auth_key", "Auth_Key", "info", "INFO", "auth_signature", "AUTH_signature").Replace(vectorGet)},
		{"parameters in another order", get(), reversed(vectorGet)},
		{"an encoded value signed decoded", get(), strings.Replace(vectorGet, "presence-", "presence%2D", 1)},
		{"an encoded key", get(), strings.Replace(vectorGet, "info", "%69nfo", 1)},
		{"empty pairs", get(), "&&" + strings.Replace(vectorGet, "&", "&&", 1) + "&"},
		{"a plus that stands for a space", get(), signedGet("q=a b") + "&q=a+b"},
		{"a plus that stands for itself", get(), signedGet("q=a+b") + "&q=a+b"},
		{"the MD5 of nothing on GET", get(), getWithMD5},
		{"a path signed as it is, sent with escapes", terminate("auth0%7Cabc"), signedPath("auth0|abc")},
		{"a path signed with escapes, sent with escapes", terminate("auth0%7Cabc"), signedPath("auth0%7Cabc")},
		{"a path signed with the prefix", below(terminate("u"), "/realtime"), base + "&auth_signature=" + sign("POST", "/realtime"+terminate("u").Path, slices.Clone(stamp)...)},
		{"a path signed without the prefix", below(terminate("u"), "/realtime"), signedPath("u")},
		{"a path signed decoded and with the prefix", below(terminate("a%7Cb"), "/realtime"), base + "&auth_signature=" + sign("POST", "/realtime"+terminate("a|b").Path, slices.Clone(stamp)...)},
		{"a path signed and sent as it is", terminate("auth0|abc"), signedPath("auth0|abc")},
		{"a path in UTF-8, sent with escapes", terminate("%C3%A9%20%2B+"), signedPath("é ++")},
		{"a path with an escaped percent", terminate("50%25"), signedPath("50%")},
		{"a path with escaped percents", terminate("%25a%25%254"), signedPath("%a%%4")},
		{"a path with an escaped escape, signed as it is sent", terminate("%2541"), signedPath("%2541")},
		{"a path and a query in another spelling", terminate("a%7Cb"), base + "&q=a+b&auth_signature=" + sign("POST", terminate("a|b").Path, append(slices.Clone(stamp), "q=a+b")...)},
		{"an encoded plus", get(), signedGet("q=a+b") + "&q=a%2Bb"},
		{"the last of repeated keys", get(), signedGet("q=3") + "&q=1&Q=2&q=3"},
		{"a key without value", get(), signedGet("q=") + "&q"},
		{"a value with an equals sign", get(), signedGet("q=a=b") + "&q=a=b"},
		{"an ampersand in a value", get(), signedGet("q=a&b") + "&q=a%26b"},
		{"an empty POST without body_md5", emptyPost, base + "&auth_signature=" + sign("POST", emptyPost.Path, slices.Clone(stamp)...)},
		{
			"an empty POST with the MD5 of nothing", emptyPost,
			base + "&" + emptyMD5 + "&auth_signature=" + sign("POST", emptyPost.Path, append(slices.Clone(stamp), emptyMD5)...),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := verify(tt.req, tt.query, vectorTime()); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func reversed(query string) string {
	pairs := strings.Split(query, "&")
	slices.Reverse(pairs)
	return strings.Join(pairs, "&")
}

func TestVerifyRequestRefuses(t *testing.T) {
	t.Parallel()
	changed := post()
	changed.Body = []byte(vectorBody + " ")
	otherPath := get()
	otherPath.Path = "/apps/77/channels/a"
	otherMethod := get()
	otherMethod.Method = "POST"
	getWithWrongMD5 := strings.Join(stamp, "&") + "&body_md5=941a1d04adeab2764127b1f390bf63a6&auth_signature=" +
		sign("GET", "/apps/77/channels", append(slices.Clone(stamp), "body_md5=941a1d04adeab2764127b1f390bf63a6")...)
	postWithoutMD5 := strings.Join(stamp, "&") + "&auth_signature=" + sign("POST", "/apps/77/events", slices.Clone(stamp)...)
	getWithBody := get()
	getWithBody.Body = []byte("{}")
	feedPath := get()
	feedPath.Path = "/apps/77/channels%0Aauth_key=mill-key&auth_timestamp=1700000000&auth_version=1.0&q=a"
	tests := []struct {
		name  string
		req   auth.Request
		query string
		want  auth.Reason
	}{
		{"no parameters", get(), "", auth.ReasonKey},
		{"a malformed escape", get(), vectorGet + "&x=%zz", auth.ReasonQuery},
		{"a cut escape", get(), vectorGet + "&x=%2", auth.ReasonQuery},
		{"a malformed escape in a key", get(), vectorGet + "&%=1", auth.ReasonQuery},
		{"too many parameters", get(), vectorGet + strings.Repeat("&x=1", 100), auth.ReasonQuery},
		{"no version", get(), strings.Replace(vectorGet, "auth_version=1.0", "", 1), auth.ReasonVersion},
		{"another version", get(), strings.Replace(vectorGet, "auth_version=1.0", "auth_version=2.0", 1), auth.ReasonVersion},
		{"no timestamp", get(), strings.Replace(vectorGet, "auth_timestamp", "timestamp", 1), auth.ReasonTimestamp},
		{"a signed number as timestamp", get(), strings.Replace(vectorGet, "=1700000000", "=-1700000000", 1), auth.ReasonTimestamp},
		{"a huge timestamp", get(), strings.Replace(vectorGet, "=1700000000", "=99999999999999999999", 1), auth.ReasonTimestamp},
		{"a timestamp in milliseconds", get(), strings.Replace(vectorGet, "=1700000000", "=1700000000000", 1), auth.ReasonClock},
		{"a changed body", changed, vectorPost, auth.ReasonBody},
		{"a body without body_md5", post(), postWithoutMD5, auth.ReasonBody},
		{"a body of a GET without body_md5", getWithBody, vectorGet, auth.ReasonBody},
		{"a wrong body_md5 that was not signed", post(), strings.Replace(vectorPost, "941a1d04adeab", "941A1D04ADEAB", 1), auth.ReasonSignature},
		{"a wrong body_md5 on GET", get(), getWithWrongMD5, auth.ReasonBody},
		{
			"a path with a line feed, so that the string to sign is another one's", feedPath,
			signedGet("q=a\n" + strings.Join(stamp, "&")),
			auth.ReasonSignature,
		},
		{
			"a path with an escaped escape, signed as the path of another user",
			auth.Request{Method: "POST", Path: "/apps/77/users/%2541/terminate_connections"},
			strings.Join(stamp, "&") + "&auth_signature=" + sign("POST", "/apps/77/users/%41/terminate_connections", slices.Clone(stamp)...),
			auth.ReasonSignature,
		},
		{"no signature", get(), strings.Replace(vectorGet, "auth_signature", "signature", 1), auth.ReasonSignature},
		{"an upper-case signature", get(), strings.Replace(vectorGet, "d17a", "D17A", 1), auth.ReasonSignature},
		{"a cut signature", get(), vectorGet[:len(vectorGet)-1], auth.ReasonSignature},
		{"a parameter that was not signed", get(), vectorGet + "&x=1", auth.ReasonSignature},
		{"a repeated key with another last value", get(), vectorGet + "&info=cache", auth.ReasonSignature},
		{"a prefix that the server has not", below(get(), "/realtime"), strings.Join(stamp, "&") + "&auth_signature=" + sign("GET", "/other"+get().Path, slices.Clone(stamp)...), auth.ReasonSignature},
		{"another path", otherPath, vectorGet, auth.ReasonSignature},
		{"another method", otherMethod, vectorGet, auth.ReasonSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := verify(tt.req, tt.query, vectorTime())
			var refused *auth.Error
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want an *auth.Error", err)
			}
			if refused.Reason != tt.want {
				t.Errorf("reason %q (%s), want %q", refused.Reason, refused.Message, tt.want)
			}
		})
	}
}

func TestVerifyRequestWindow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		off  time.Duration
		ok   bool
	}{
		{"600 s old", 600 * time.Second, true},
		{"601 s old", 601 * time.Second, false},
		{"600 s ahead", -600 * time.Second, true},
		{"601 s ahead", -601 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := verify(get(), vectorGet, vectorTime().Add(tt.off))
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want accepted: %v", err, tt.ok)
			}
			if err != nil && !strings.Contains(err.Error(), "the server's time is 1") {
				t.Errorf("message does not name the server's time: %s", err)
			}
		})
	}
}

func TestSignatureMessageShowsWhatToSign(t *testing.T) {
	t.Parallel()
	err := verify(get(), vectorGet+"&x=1", vectorTime())
	want := `the string to sign is "GET\n/apps/77/channels\nauth_key=mill-key&auth_timestamp=1700000000` +
		`&auth_version=1.0&filter_by_prefix=presence-&info=user_count&x=1"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to contain %s", err, want)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("message holds the secret: %v", err)
	}
}

func TestParamsGet(t *testing.T) {
	t.Parallel()
	var p auth.Params
	if err := auth.ParseQuery(&p, "Info=a%2Cb&filter_by_prefix=x&INFO=c+d"); err != nil {
		t.Fatal(err)
	}
	if got, ok := p.Get("info"); got != "c d" || !ok {
		t.Errorf("info = %q, %v; want the last value", got, ok)
	}
	if _, ok := p.Get("none"); ok {
		t.Error("a parameter that is not there was found")
	}
	p.Reset()
	if _, ok := p.Get("info"); ok {
		t.Error("a parameter was found after Reset")
	}
}

func TestSignRequestVectors(t *testing.T) {
	t.Parallel()
	got := auth.SignRequest(post(), nil, key, secret, vectorTime())
	want, err := url.ParseQuery(vectorPost)
	if err != nil {
		t.Fatal(err)
	}
	if got.Encode() != want.Encode() {
		t.Errorf("got %s, want %s", got.Encode(), want.Encode())
	}
}

// Whatever is signed, verifies; whatever else is changed, does not.
func TestSignRequestVerifies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := auth.Request{
			Method: rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
			Path:   "/apps/77/" + url.PathEscape(rapid.String().Draw(t, "path")),
		}
		if r.Method == "POST" {
			r.Body = rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		}
		query := url.Values{}
		for k, v := range rapid.MapOfN(rapid.String(), rapid.String(), 0, 15).Draw(t, "query") {
			if !strings.HasPrefix(strings.ToLower(k), "auth_") && strings.ToLower(k) != "body_md5" {
				query.Set(k, v)
			}
		}
		signed := auth.SignRequest(r, query, key, secret, vectorTime())
		if err := verify(r, signed.Encode(), vectorTime()); err != nil {
			t.Fatalf("own signature refused: %v", err)
		}
		r.Path += "x"
		if err := verify(r, signed.Encode(), vectorTime()); err == nil {
			t.Fatal("another path accepted")
		}
	})
}

func TestVerifyRequestAllocs(t *testing.T) {
	r, p, v := post(), new(auth.Params), new(auth.Verifier)
	allocs := testing.AllocsPerRun(100, func() {
		if err := auth.ParseQuery(p, vectorPost); err != nil {
			t.Fatal(err)
		}
		if err := v.VerifyRequest(r, p, secret, vectorTime()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per request, want 0", allocs)
	}
}

// TestVerifierChangesSecrets: what is kept of one secret verifies nothing of another, short or long.
func TestVerifierChangesSecrets(t *testing.T) {
	t.Parallel()
	secrets := []string{"", secret, secret + "2", strings.Repeat("long ", 12) + "1234", strings.Repeat("longer ", 20)}
	var v auth.Verifier
	for round := range 3 {
		for i, signedWith := range secrets {
			query := auth.SignRequest(post(), nil, "mill-key", signedWith, vectorTime())
			for j, verifiedWith := range secrets {
				var p auth.Params
				if err := auth.ParseQuery(&p, query.Encode()); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := v.VerifyRequest(post(), &p, verifiedWith, vectorTime()); (err == nil) != (i == j) {
						t.Errorf("round %d: signed with secret %d, verified with %d: %v", round, i, j, err)
					}
				}
			}
		}
	}
}

// FuzzVerifyRequest looks for a query that verifies though its signature is not the one of
// its own parameters, read the standard way.
func FuzzVerifyRequest(f *testing.F) {
	f.Add("POST", "/apps/77/events", vectorPost, []byte(vectorBody))
	f.Add("GET", "/apps/77/channels", vectorGet, []byte{})
	f.Add("GET", "/apps/77/channels", "a=%&b=%2&c=%zz&+=%00&&=", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, rawQuery string, body []byte) {
		err := verify(auth.Request{Method: method, Path: path, Body: body}, rawQuery, vectorTime())
		var refused *auth.Error
		if err != nil {
			if !errors.As(err, &refused) || refused.Reason == "" || refused.Message == "" {
				t.Fatalf("refusal without reason: %#v", err)
			}
			return
		}
		for _, isPlusKept := range []bool{false, true} {
			pairs, given, err := signedPairs(rawQuery, isPlusKept)
			if err != nil {
				t.Fatalf("accepted what net/url refuses: %v", err)
			}
			for _, path := range spellings(path) {
				mac := hmac.New(sha256.New, []byte(secret))
				mac.Write([]byte(method + "\n" + path + "\n" + pairs))
				if given == hex.EncodeToString(mac.Sum(nil)) {
					return
				}
			}
		}
		t.Fatal("accepted a signature of something else")
	})
}

// spellings are the readings of a path.
func spellings(path string) []string {
	if decoded, err := url.PathUnescape(path); err == nil {
		return []string{path, decoded}
	}
	return []string{path}
}

// signedPairs reads a query the standard way, and with every + as itself if it is kept.
func signedPairs(rawQuery string, isPlusKept bool) (pairs, signature string, err error) {
	if isPlusKept {
		rawQuery = strings.ReplaceAll(rawQuery, "+", "%2B")
	}
	last := map[string]string{}
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		dk, err1 := url.QueryUnescape(k)
		dv, err2 := url.QueryUnescape(v)
		if err := errors.Join(err1, err2); err != nil {
			return "", "", err
		}
		last[strings.ToLower(dk)] = dv
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(last)) {
		if k != "auth_signature" {
			list = append(list, k+"="+last[k])
		}
	}
	return strings.Join(list, "&"), last["auth_signature"], nil
}

func BenchmarkVerifyRequest(b *testing.B) {
	b.ReportAllocs()
	r, p, v := post(), new(auth.Params), new(auth.Verifier)
	for b.Loop() {
		if err := auth.ParseQuery(p, vectorPost); err != nil {
			b.Fatal(err)
		}
		if err := v.VerifyRequest(r, p, secret, vectorTime()); err != nil {
			b.Fatal(err)
		}
	}
}
