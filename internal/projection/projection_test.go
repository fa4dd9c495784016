package projection_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/app"
	"github.com/millrace/millrace/internal/channel"
	"github.com/millrace/millrace/internal/entity"
	"github.com/millrace/millrace/internal/entity/owner"
	"github.com/millrace/millrace/internal/projection"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nobody is told of changes.
type nobody struct{}

func (nobody) Changed(*entity.Type, []entity.Change) {}

// recorded is a channel engine that notes what is published.
type recorded struct{ names *[]string }

func (r recorded) Publish(_ context.Context, _ *app.App, events []channel.Event) error {
	for i := range events {
		*r.names = append(*r.names, events[i].Name)
	}
	return nil
}

// bench is a projector over a real owner of entities.
type bench struct {
	t         *testing.T
	entities  *entity.State
	owner     *owner.Owner
	rules     atomic.Pointer[projection.Rules]
	publisher projection.Publisher
	published []string
	log       bytes.Buffer
	metrics   *prometheus.Registry
}

func newBench(t *testing.T, o projection.Options, rules ...projection.Rule) *bench {
	t.Helper()
	b := &bench{t: t, metrics: prometheus.NewRegistry()}
	b.entities = entity.NewState(nil)
	b.owner = owner.New(b.entities, owner.Options{MaxSize: 200})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.owner.Run(ctx, nobody{}) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	o.Metrics, o.Log = projection.NewMetrics(b.metrics), slog.New(slog.NewTextHandler(&b.log, nil))
	compiled, err := projection.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	b.rules.Store(compiled)
	of := func(appID string) *projection.Rules {
		if appID != "77" {
			return nil
		}
		return b.rules.Load()
	}
	b.publisher = projection.New(recorded{&b.published}, of, b.owner, o)
	return b
}

// event is an event as the HTTP API hands it on: its data is a JSON string with text.
func event(channelName, name, data string) channel.Event {
	literal, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return channel.Event{Channel: channelName, Name: name, Data: literal}
}

func (b *bench) publish(events ...channel.Event) error {
	return b.publisher.Publish(b.t.Context(), &app.App{ID: "77"}, events)
}

var seqMember = regexp.MustCompile(`,?"_seq":"[^"]*"`)

// state is every entity, as "Type/key", without _seq.
func (b *bench) state() map[string]string {
	state := map[string]string{}
	for _, t := range b.entities.Types("77") {
		t.RLock()
		for _, v := range t.AfterLocked(nil, 0, 1000) {
			state[t.Name+"/"+v.Key] = strings.Replace(seqMember.ReplaceAllString(string(v.Data), ""), "{,", "{", 1)
		}
		t.RUnlock()
	}
	return state
}

// counted is the value of a counter, with its reason if it has one.
func (b *bench) counted(name, reason string) (n float64) {
	b.t.Helper()
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (reason == "" || m.GetLabel()[0].GetValue() == reason) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestRules(t *testing.T) {
	t.Parallel()
	bids := projection.Rule{Channels: "auction-*", Entity: "Auction", Key: "$1"}
	with := func(change func(r *projection.Rule)) projection.Rule {
		r := bids
		change(&r)
		return r
	}
	tests := []struct {
		name   string
		rules  []projection.Rule
		events []channel.Event
		want   map[string]string
		skips  map[string]float64
	}{
		{
			"what the star stands for is the key",
			[]projection.Rule{bids},
			[]channel.Event{event("auction-9", "bid", `{"bid":{"amount":5}}`), event("auction-9", "bid", `{"bid":{"by":"u"}}`), event("other-9", "bid", `{"x":1}`)},
			map[string]string{"Auction/9": `{"bid":{"amount":5,"by":"u"}}`},
			nil,
		},
		{
			"the channel is the key",
			[]projection.Rule{with(func(r *projection.Rule) { r.Channels, r.Key = "room", "$channel" })},
			[]channel.Event{event("room", "e", `{"n":1}`), event("rooms", "e", `{"n":1}`)},
			map[string]string{"Auction/room": `{"n":1}`},
			nil,
		},
		{
			"a path into the data is the key, of any type",
			[]projection.Rule{with(func(r *projection.Rule) { r.Channels, r.Key = "*", "meta.id" })},
			[]channel.Event{event("a", "e", `{"meta":{"id":12}}`), event("b", "e", `{"meta":{"id":[1,255]}}`)},
			map[string]string{"Auction/12": `{"meta":{"id":12}}`, "Auction/01ff": `{"meta":{"id":[1,255]}}`},
			nil,
		},
		{
			"only the events that are named",
			[]projection.Rule{with(func(r *projection.Rule) { r.Events = []string{"bid", "price"} })},
			[]channel.Event{event("auction-9", "bid", `{"a":1}`), event("auction-9", "chat", `{"b":1}`), event("auction-9", "price", `{"c":1}`)},
			map[string]string{"Auction/9": `{"a":1,"c":1}`},
			nil,
		},
		{
			"an upsert replaces",
			[]projection.Rule{with(func(r *projection.Rule) { r.Op = "upsert" })},
			[]channel.Event{event("auction-9", "e", `{"a":1}`), event("auction-9", "e", `{"b":1}`)},
			map[string]string{"Auction/9": `{"b":1}`},
			nil,
		},
		{
			"a delete needs no data",
			[]projection.Rule{bids, with(func(r *projection.Rule) { r.Channels, r.Op = "over-*", "delete" })},
			[]channel.Event{event("auction-9", "e", `{"a":1}`), event("auction-8", "e", `{"a":1}`), event("over-9", "e", `plain text`)},
			map[string]string{"Auction/8": `{"a":1}`},
			nil,
		},
		{
			"events that delete",
			[]projection.Rule{with(func(r *projection.Rule) { r.Events, r.DeleteEvents = []string{"bid"}, []string{"over"} })},
			[]channel.Event{event("auction-9", "bid", `{"a":1}`), event("auction-9", "over", `{}`)},
			nil, nil,
		},
		{
			"a part of the data, and an append",
			[]projection.Rule{with(func(r *projection.Rule) {
				r.Channels, r.Key, r.Data, r.Append = "feed", "id", "after.row", []string{"log"}
			})},
			[]channel.Event{event("feed", "e", `{"id":"k","after":{"row":{"log":[1]}}}`), event("feed", "e", `{"id":"k","after":{"row":{"log":[2]}}}`)},
			map[string]string{"Auction/k": `{"log":[1,2]}`},
			nil,
		},
		{
			"data that is no JSON text in a string",
			[]projection.Rule{bids},
			[]channel.Event{{Channel: "auction-9", Name: "e", Data: []byte(` {"a":1} `)}},
			map[string]string{"Auction/9": `{"a":1}`},
			nil,
		},
		{
			"two rules, one event",
			[]projection.Rule{bids, with(func(r *projection.Rule) { r.Entity, r.Key = "Bid", "id" })},
			[]channel.Event{event("auction-9", "e", `{"id":"b1"}`)},
			map[string]string{"Auction/9": `{"id":"b1"}`, "Bid/b1": `{"id":"b1"}`},
			nil,
		},
		{
			"what cannot be used is skipped",
			[]projection.Rule{with(func(r *projection.Rule) { r.Channels, r.Key = "*", "id" })},
			[]channel.Event{
				event("a", "e", `text`), event("a", "e", `[1]`), event("a", "e", `{"id":"good"}`), event("a", "e", `{}`),
				event("a", "e", `{"id":null}`), event("a", "e", `{"id":""}`),
				{Channel: "a", Name: "e"},
				event("a", "e", `{"id":"large","x":"`+strings.Repeat("x", 300)+`"}`), event("a", "e", `{"id":"last"}`),
			},
			map[string]string{"Auction/good": `{"id":"good"}`, "Auction/last": `{"id":"last"}`},
			map[string]float64{"data": 3, "key": 3, "refused": 1},
		},
		{"an empty star is no key", []projection.Rule{bids}, []channel.Event{event("auction-", "e", `{}`)}, nil, map[string]float64{"key": 1}},
		{"no rules", nil, []channel.Event{event("auction-9", "e", `{}`)}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, projection.Options{}, tt.rules...)
			if err := b.publish(tt.events...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.state(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(b.published) != len(tt.events) {
				t.Errorf("published %v, want all %d", b.published, len(tt.events))
			}
			for _, reason := range []string{"data", "key", "refused"} {
				if got := b.counted("millrace_projection_skipped_total", reason); got != tt.skips[reason] {
					t.Errorf("skipped for %s: got %v, want %v", reason, got, tt.skips[reason])
				}
			}
			if lines := strings.Count(b.log.String(), "\n"); lines != min(1, len(tt.skips)) {
				t.Errorf("logged %d lines:\n%s", lines, &b.log)
			}
		})
	}
}

func TestPublishIsOneBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, projection.Options{MaxBatch: 2}, projection.Rule{Channels: "*", Entity: "A", Key: "$1"})
	var events []channel.Event
	for i := range 5 {
		events = append(events, event(strconv.Itoa(i), "e", `{}`))
	}
	if err := b.publish(events...); err != nil {
		t.Fatal(err)
	}
	typ := b.entities.Find("77", "A")
	typ.RLock()
	defer typ.RUnlock()
	seqs := map[entity.Seq]int{}
	for _, v := range typ.AfterLocked(nil, 0, 10) {
		seqs[v.Seq]++
	}
	if len(seqs) != 3 || b.counted("millrace_projection_mutations_total", "") != 5 {
		t.Errorf("got %v, want batches of 2, 2 and 1", seqs)
	}
}

func TestPublishIsRefusedWhole(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	reserve := func(_ context.Context, b *entity.Batch) error {
		if len(b.Mutations) > 0 && b.App == "77" {
			return full
		}
		return nil
	}
	b := newBench(t, projection.Options{Reserve: reserve}, projection.Rule{Channels: "a", Entity: "A", Key: "id"})
	if err := b.publish(event("a", "e", `{"id":1}`), event("b", "e", `{}`)); !errors.Is(err, full) || len(b.published) > 0 {
		t.Errorf("got %v with %v published", err, b.published)
	}
	if err := b.publish(event("b", "e", `{}`)); err != nil || len(b.published) != 1 {
		t.Errorf("events that no rule concerns: %v, %v", err, b.published)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b = newBench(t, projection.Options{}, projection.Rule{Channels: "a", Entity: "A", Key: "id"})
	if err := b.publisher.Publish(ctx, &app.App{ID: "77"}, []channel.Event{event("a", "e", `{"id":1}`)}); err == nil || len(b.published) > 0 {
		t.Errorf("got %v with %v published", err, b.published)
	}
}

func TestRulesAreThoseOfTheAppAtTheMoment(t *testing.T) {
	t.Parallel()
	b := newBench(t, projection.Options{}, projection.Rule{Channels: "*", Entity: "A", Key: "$1"})
	if err := b.publisher.Publish(t.Context(), &app.App{ID: "78"}, []channel.Event{event("other", "e", `{}`)}); err != nil {
		t.Fatal(err)
	}
	if err := b.publish(event("one", "e", `{}`)); err != nil {
		t.Fatal(err)
	}
	next, err := projection.Compile([]projection.Rule{{Channels: "*", Entity: "B", Key: "$1"}})
	if err != nil {
		t.Fatal(err)
	}
	b.rules.Store(next)
	if err := b.publish(event("two", "e", `{}`)); err != nil {
		t.Fatal(err)
	}
	b.rules.Store(nil)
	if err := b.publish(event("three", "e", `{}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A/one": "{}", "B/two": "{}"}, b.state()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	t.Parallel()
	good := projection.Rule{Channels: "a-*", Entity: "A", Key: "$1"}
	for want, change := range map[string]func(*projection.Rule){
		"projection 1: channels: missing":          func(r *projection.Rule) { r.Channels = "" },
		"projection 1: entity: must be a name":     func(r *projection.Rule) { r.Entity = "A/list" },
		"projection 1: op: must be":                func(r *projection.Rule) { r.Op = "merge" },
		"projection 1: key: $1 needs a *":          func(r *projection.Rule) { r.Channels = "a" },
		"projection 1: key: must be a dotted path": func(r *projection.Rule) { r.Key = "$2" },
		"path, $channel or $1":                     func(r *projection.Rule) { r.Key = "a..b" },
		"projection 1: data: must be":              func(r *projection.Rule) { r.Data = ".a" },
		"projection 1: append: must be":            func(r *projection.Rule) { r.Append = []string{""} },
		"projection 1: append: is for patch":       func(r *projection.Rule) { r.Op, r.Append = "upsert", []string{"l"} },
	} {
		bad := good
		change(&bad)
		_, err := projection.Compile([]projection.Rule{good, bad})
		if _, ok := errors.AsType[*projection.RuleError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
