package auth

// signInChannel turns the string to sign of a sign-in, {socket_id}::user::{user_data}, into a string
// to sign of a channel: no channel may have a name with a colon.
const signInChannel = ":user:"

// UserSignature signs the sign-in of the connection socketID: the hex part of the auth value
// (pusher 2.4.1).
func UserSignature(secret, socketID, userData string) string {
	return ChannelSignature(secret, socketID, signInChannel, userData)
}

// VerifyUser reports whether p is the signature of exactly this sign-in. userData is the text
// as received, never serialised again; an empty one is never signed.
func (p Proof) VerifyUser(secret, socketID, userData string) bool {
	return userData != "" && p.VerifyChannel(secret, socketID, signInChannel, userData)
}
