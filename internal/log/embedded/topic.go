package embedded

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/log"
	"github.com/millrace/millrace/internal/protocol"
)

// topicState is a row of log_topics.
type topicState struct {
	id    int64 // zero: the topic has no row
	topic protocol.Topic

	stream    string
	applied   log.Index // of entries up to it the topic has everything
	first     uint64    // the first serial that is in a block; next if none is
	next      uint64
	bytes     int64 // of the envelopes in blocks
	firstTime int64 // the least time in the first block
	lastTime  int64 // of the last publication
}

// begin makes the topic empty, under another stream.
func (s *topicState) begin(stream string) {
	s.stream, s.first, s.next, s.bytes, s.firstTime, s.lastTime = stream, 1, 1, 0, 0, 0
}

// scan reads topicColumns.
func (s *topicState) scan(row interface{ Scan(...any) error }) error {
	var applied, first, next int64
	err := row.Scan(&s.id, &s.topic.App, &s.topic.Kind, &s.topic.Name, &s.stream, &applied, &first, &next, &s.bytes, &s.firstTime, &s.lastTime)
	s.applied, s.first, s.next = log.Index(applied), uint64(first), uint64(next)
	return err
}

// cells are the values of topicColumns.
func (s *topicState) cells(dst []any) []any {
	return append(dst, s.id, s.topic.App, int64(s.topic.Kind), s.topic.Name, s.stream,
		int64(s.applied), int64(s.first), int64(s.next), s.bytes, s.firstTime, s.lastTime)
}

// findTopic reads the row of a topic; without one, the state has no id.
func findTopic(ctx context.Context, find *sql.Stmt, topic protocol.Topic) (topicState, error) {
	s := topicState{topic: topic}
	err := s.scan(find.QueryRowContext(ctx, topic.Name, topic.App, int64(topic.Kind)))
	if errors.Is(err, sql.ErrNoRows) {
		s.begin("")
		return s, nil
	}
	return s, err
}
