package embedded

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// topicState is a row of log_topics.
type topicState struct {
	id    int64 // zero: the topic has no row
	topic protocol.Topic

	stream    string
	applied   log.Index // of entries up to it the topic has everything
	first     uint64    // the first serial that has a row; next if none has
	next      uint64
	bytes     int64 // of the envelopes of the rows
	firstTime int64 // of the first row
	lastTime  int64 // of the last publication
}

// begin makes the topic empty, under another stream.
func (s *topicState) begin(stream string) {
	s.stream, s.first, s.next, s.bytes, s.firstTime, s.lastTime = stream, 1, 1, 0, 0, 0
}

// scan reads topicColumns.
func (s *topicState) scan(row interface{ Scan(...any) error }) error {
	var applied, first, next int64
	err := row.Scan(&s.id, &s.topic.App, &s.topic.Name, &s.stream, &applied, &first, &next, &s.bytes, &s.firstTime, &s.lastTime)
	s.applied, s.first, s.next = log.Index(applied), uint64(first), uint64(next)
	return err
}

// cells are the values of topicColumns.
func (s *topicState) cells(dst []any) []any {
	return append(dst, s.id, s.topic.App, s.topic.Name, s.stream, int64(s.applied), int64(s.first), int64(s.next), s.bytes, s.firstTime, s.lastTime)
}

// findTopic reads the row of a topic; without one, the state has no id.
func findTopic(ctx context.Context, find *sql.Stmt, topic protocol.Topic) (topicState, error) {
	s := topicState{topic: topic}
	err := s.scan(find.QueryRowContext(ctx, topic.Name, topic.App))
	if errors.Is(err, sql.ErrNoRows) {
		s.begin("")
		return s, nil
	}
	return s, err
}

// limits are a Retention at one moment.
type limits struct {
	log.Retention
	cutoff int64 // what was decided before it is too old; 0: nothing is
}

func limitsAt(r log.Retention, now time.Time) limits {
	l := limits{Retention: r}
	if r.Age > 0 {
		l.cutoff = now.UnixMilli() - r.Age
	}
	return l
}

// floor is the first serial that Count allows, when next is the one that follows the last.
func (l limits) floor(next uint64) uint64 {
	if l.Count == 0 || next <= l.Count {
		return 1
	}
	return next - l.Count
}

// excess walks over the oldest publications of a stream while they are beyond its limits.
type excess struct {
	limits
	floor uint64 // the first serial that stays, by Count or a purge
	bytes int64  // that the stream has
	first uint64 // the first serial that stays, in the end
	time  int64  // when that was decided
}

// drops takes the next publication, and reports whether it is beyond the limits. Otherwise it is the
// first that stays.
func (x *excess) drops(serial uint64, size, decided int64) bool {
	if serial < x.floor || x.Bytes > 0 && x.bytes > x.Bytes || decided < x.cutoff {
		x.bytes -= size
		return true
	}
	x.first, x.time = serial, decided
	return false
}

// walk takes the rows of a topic from its first one on; false when all are dropped.
func (x *excess) walk(ctx context.Context, oldest *sql.Stmt, s *topicState) (isOver bool, err error) {
	rows, err := oldest.QueryContext(ctx, s.id, int64(s.first))
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }() // Err says what went wrong
	for rows.Next() {
		var serial, size, decided int64
		if err := rows.Scan(&serial, &size, &decided); err != nil {
			return false, err
		}
		if !x.drops(uint64(serial), size, decided) {
			return true, nil
		}
	}
	return false, rows.Err()
}
