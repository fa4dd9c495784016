package auth

import "crypto/subtle"

// ChannelSignature signs a subscription of the connection socketID: the hex part of the
// auth value. channelData is empty for channels without it (pusher 2.4.1).
func ChannelSignature(secret, socketID, channel, channelData string) string {
	sum := channelSum(secret, socketID, channel, channelData)
	return string(sum[:])
}

// Proof is an auth value taken apart: who claims to have signed, and the signature. The key
// is public; whose it is, and with which secret it signs, is for the caller to find.
type Proof struct {
	Key       string
	signature string
}

// ParseProof takes the auth value of a subscription or a sign-in apart: a key, a colon and a
// signature of 64 bytes. Both parts alias authString. A key may have colons of its own.
func ParseProof(authString string) (p Proof, ok bool) {
	at := len(authString) - hexSize - 1
	if at <= 0 || authString[at] != ':' {
		return Proof{}, false
	}
	return Proof{Key: authString[:at], signature: authString[at+1:]}, true
}

// VerifyChannel reports whether p is the signature of exactly this subscription. channelData
// is the text as received, never serialised again.
func (p Proof) VerifyChannel(secret, socketID, channel, channelData string) bool {
	sum := channelSum(secret, socketID, channel, channelData)
	return subtle.ConstantTimeCompare(sum[:], []byte(p.signature)) == 1
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
