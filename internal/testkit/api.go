package testkit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials of the app that every test uses (docs/protocol/pusher.md, conventions).
const (
	AppID  = "77"
	Key    = "mill-key"
	Secret = "mill-secret"
)

// Sign is the hex HMAC-SHA256 of text. It and what builds on it are written a second time
// here, apart from package auth, so that a mistake there does not verify itself.
func Sign(text string) string { return SignWith(Secret, text) }

// SignWith is Sign with the secret of another key.
func SignWith(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// ChannelAuth is the auth value for a subscription (pusher 2.4.1).
func ChannelAuth(socketID, channel, channelData string) string {
	text := socketID + ":" + channel
	if channelData != "" {
		text += ":" + channelData
	}
	return Key + ":" + Sign(text)
}

// UserAuth is the auth value for a sign-in (pusher 2.4.1).
func UserAuth(socketID, userData string) string {
	return Key + ":" + Sign(socketID+"::user::"+userData)
}

// Response is an HTTP response, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request to the server's address. target is path and query.
func (n *Node) Do(ctx context.Context, method, target, body string, header http.Header) (Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.Addr()+target, strings.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	maps.Copy(r.Header, header)
	answer, err := n.http.Do(r)
	if err != nil {
		return Response{}, err
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, answer.Body)
	return Response{Status: answer.StatusCode, Header: answer.Header, Body: b.String()}, err
}

// DoSigned is Do with the parameters of pusher 5.2.
func (n *Node) DoSigned(ctx context.Context, method, target, body string) (Response, error) {
	path, query, _ := strings.Cut(target, "?")
	signed, err := SignedQuery(method, path, query, body, time.Now())
	if err != nil {
		return Response{}, err
	}
	return n.Do(ctx, method, path+"?"+signed, body, nil)
}

// SignedQuery adds the authentication parameters to a query.
func SignedQuery(method, path, query, body string, now time.Time) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", err
	}
	values.Set("auth_key", Key)
	values.Set("auth_timestamp", strconv.FormatInt(now.Unix(), 10))
	values.Set("auth_version", "1.0")
	if body != "" {
		sum := md5.Sum([]byte(body))
		values.Set("body_md5", hex.EncodeToString(sum[:]))
	}
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, strings.ToLower(k)+"="+values.Get(k))
	}
	values.Set("auth_signature", Sign(method+"\n"+path+"\n"+strings.Join(pairs, "&")))
	return values.Encode(), nil
}

// Publish publishes an event of the test app. It may be called from any goroutine.
func (n *Node) Publish(ctx context.Context, channel, event, data string) error {
	body, err := json.Marshal(map[string]string{"name": event, "channel": channel, "data": data})
	if err != nil {
		return err
	}
	answer, err := n.DoSigned(ctx, "POST", "/apps/"+AppID+"/events", string(body))
	if err == nil && answer.Status != http.StatusOK {
		err = fmt.Errorf("publish answered with %d %s", answer.Status, answer.Body)
	}
	return err
}
