package auth

import "crypto/subtle"

// ChannelSignature signs a subscription of the connection socketID: the hex part of the
// auth value. channelData is empty for channels without it (pusher-protocol 2.4.1).
func ChannelSignature(secret, socketID, channel, channelData string) string {
	sum := channelSum(secret, socketID, channel, channelData)
	return string(sum[:])
}

// VerifyChannel reports whether authString is key, a colon and the signature of exactly
// this subscription. channelData is the text as received, never serialised anew.
func VerifyChannel(key, secret, authString, socketID, channel, channelData string) bool {
	sum := channelSum(secret, socketID, channel, channelData)
	var buf [128]byte
	want := append(buf[:0], key...)
	want = append(want, ':')
	want = append(want, sum[:]...)
	return subtle.ConstantTimeCompare(want, []byte(authString)) == 1
}

func channelSum(secret, socketID, channel, channelData string) [hexSize]byte {
	var buf [512]byte
	m := newMessage(buf[:], secret)
	m = append(m, socketID...)
	m = append(m, ':')
	m = append(m, channel...)
	if channelData != "" {
		m = append(m, ':')
		m = append(m, channelData...)
	}
	return m.sum()
}
