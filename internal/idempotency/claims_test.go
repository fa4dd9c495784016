package idempotency_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/idempotency"
)

func usual(l idempotency.Limits) *idempotency.Claims {
	l.Usual = []byte(`{}`)
	return idempotency.New(l)
}

// The keys of one app take no more than its share, and leave room for those of others.
func TestAppsHaveSharesOfTheRoomForKeys(t *testing.T) {
	t.Parallel()
	claims, now := usual(idempotency.Limits{Bytes: 10_000, BytesPerApp: 2_000}), time.Duration(0)
	fill := func(appID string) (keys int, err error) {
		for {
			key := idempotency.Key{App: appID, Name: strconv.Itoa(keys)}
			if _, _, err := claims.Claim(now, key, time.Second); err != nil {
				return keys, err
			}
			claims.Keep(now, key, []byte(`{}`))
			keys++
		}
	}
	keys, err := fill("greedy")
	if !errors.Is(err, idempotency.ErrShareFull) || keys < 5 {
		t.Errorf("%d keys of one app, then %v", keys, err)
	}
	if _, size := claims.Size(); size > 2_000 {
		t.Errorf("one app holds %d bytes", size)
	}
	others := 0
	for ; ; others++ {
		if _, err := fill("other-" + strconv.Itoa(others)); errors.Is(err, idempotency.ErrFull) {
			break
		}
	}
	if _, size := claims.Size(); others < 3 || size > 10_000 {
		t.Errorf("%d other apps, %d bytes", others, size)
	}
	now += time.Second
	if keys, err = fill("greedy"); !errors.Is(err, idempotency.ErrShareFull) || keys < 5 {
		t.Errorf("afterwards %d keys, then %v", keys, err)
	}
}

// An answer that there is no room for is not kept, but its key is.
func TestAnAnswerWithoutRoomIsNotCarriedOutAgain(t *testing.T) {
	t.Parallel()
	claims, key := usual(idempotency.Limits{Bytes: 1000}), idempotency.Key{App: "77", Name: "k"}
	if state, _, err := claims.Claim(0, key, time.Minute); state != idempotency.First || err != nil {
		t.Fatalf("the first claim: %v, %v", state, err)
	}
	claims.Keep(0, key, make([]byte, 1000))
	if state, kept, err := claims.Claim(0, key, time.Minute); state != idempotency.Done || string(kept) != `{}` || err != nil {
		t.Errorf("the second claim: %v, %d bytes, %v; want the usual answer", state, len(kept), err)
	}
	if _, size := claims.Size(); size > 1000 {
		t.Errorf("%d bytes are kept", size)
	}
}

// model is what a key is, in a map.
type model struct {
	isHeld bool
	answer string
	ends   time.Duration
}

// TestClaimsAgainstAModel lets requests come, end and fail at random.
func TestClaimsAgainstAModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test
	claims, now := usual(idempotency.Limits{}), time.Duration(0)
	known := map[idempotency.Key]*model{}
	for range 20_000 {
		now += time.Duration(r.IntN(100)) * time.Millisecond
		key := idempotency.Key{App: strconv.Itoa(r.IntN(2)), Name: strconv.Itoa(r.IntN(20))}
		m := known[key]
		switch r.IntN(6) {
		case 0:
			claims.Release(key) // of a key that is not held it changes nothing
			if m != nil && m.isHeld {
				delete(known, key)
			}
		case 1, 2:
			answer := []string{`{}`, fmt.Sprint("answer ", r.IntN(10))}[r.IntN(2)]
			claims.Keep(now, key, []byte(answer)) // likewise
			if m != nil && m.isHeld {
				*m = model{answer: answer, ends: now + time.Second}
			}
		default:
			want, answer := idempotency.First, ""
			switch {
			case m != nil && m.isHeld:
				want = idempotency.Held
			case m != nil && now < m.ends:
				want, answer = idempotency.Done, m.answer
			default:
				known[key] = &model{isHeld: true}
			}
			state, kept, err := claims.Claim(now, key, time.Second)
			if err != nil || state != want || string(kept) != answer {
				t.Fatalf("claim of %v: %v, %q, %v; want %v, %q", key, state, kept, err, want, answer)
			}
		}
	}
	for key := range known {
		claims.Release(key)
	}
	now += time.Hour
	for i := range 40 { // each forgets two of the old ones
		key := idempotency.Key{App: "last", Name: strconv.Itoa(i)}
		if _, _, err := claims.Claim(now, key, time.Second); err != nil {
			t.Fatal(err)
		}
		claims.Release(key)
	}
	if keys, size := claims.Size(); keys != 0 || size != 0 {
		t.Errorf("%d keys and %d bytes are left, want none", keys, size)
	}
}
