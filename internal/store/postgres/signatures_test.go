package postgres_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/store/postgres"
)

func TestExpiredSignaturesGo(t *testing.T) {
	t.Parallel()
	url := cluster(t).Database(t)
	s := open(t, postgres.Options{URL: url})
	for i := range 150 { // more than one claim clears away
		if isFirst, err := s.ClaimSignature(t.Context(), strconv.Itoa(i), -time.Hour); err != nil || !isFirst {
			t.Fatalf("ClaimSignature %d: %t, %v", i, isFirst, err)
		}
	}
	cluster(t).Execute(t, url, "INSERT INTO millrace_signatures SELECT 'old' || n, now() - interval '1 hour' FROM generate_series(1, 150) n")
	for range 2 {
		if _, err := s.ClaimSignature(t.Context(), "new", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	cluster(t).Execute(t, url, `DO $$ BEGIN
		IF (SELECT count(*) FROM millrace_signatures) <> 1 THEN
			RAISE '% signatures are left', (SELECT count(*) FROM millrace_signatures);
		END IF;
	END $$`)
}
