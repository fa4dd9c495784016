package report

import (
	"time"

	"github.com/millrace/millrace/test/bench/storm"
	"github.com/millrace/millrace/test/bench/views"
)

// plan is how much a report does.
type plan struct {
	idle, idleFew  int // connections
	settle         time.Duration
	settleMost     time.Duration
	opening        int // connections
	subscribers    int
	rounds         int // of every comparison
	warmup         time.Duration
	duration       time.Duration
	churn, churned int           // rounds, connections
	churnSettle    time.Duration // after each; zero: the generator's default
	storm          storm.Options
	stormWarmup    time.Duration
	views          viewPlan
	guards         guardPlan
	pairs          pairPlan
}

// pairPlan is how much a comparison with another binary does.
type pairPlan struct {
	rounds      int // of each contest
	fresh       int // of one whose runs have servers of their own
	subscribers int
	opening     int // connections
	idle        int // connections
	warmup      time.Duration
	duration    time.Duration
}

// guardPlan is how much the part of a report about users, limits, webhooks, attacks and storms does.
type guardPlan struct {
	idle     int // connections
	rounds   int // of the comparison of limits
	warmup   time.Duration
	duration time.Duration
	events   int // of webhooks, per round
	endings  int // servers that are ended under load
	attack   time.Duration
	attacks  int // one of so many kinds of attack is made
	beside   int // the same, where attacks are a part of the report
}

// viewPlan is how much the part of a report about live views does.
type viewPlan struct {
	entities    int // of the engine whose speed is measured
	few, many   int // entities of the engines whose cost is compared
	rounds      int
	burst       time.Duration // of one round of an engine
	watchers    int           // of a window
	subscribers int           // of a list
	warmup      time.Duration
	duration    time.Duration
	lag         views.LagPlan
	idle        int // connections
	settle      time.Duration
}

func newPlan(isQuick bool) plan {
	if isQuick {
		return quickPlan()
	}
	const settleMost = 30 * time.Second
	return plan{
		idle: 15_000, idleFew: 1_500, settle: 10 * time.Second, settleMost: settleMost, opening: 10_000, subscribers: 2_000,
		rounds: 3, warmup: 2 * time.Second, duration: 8 * time.Second, churn: 20, churned: 10_000,
		storm:       storm.Options{Members: 10_000, PerChannel: 100, Public: 5_000, SignIn: true, Quiet: 3 * time.Second, Rounds: 5},
		stormWarmup: time.Second,
		pairs: pairPlan{
			rounds: 10, fresh: 3, subscribers: 2_000, opening: 5_000, idle: 10_000, warmup: time.Second, duration: 3 * time.Second,
		},
		guards: guardPlan{
			idle: 15_000, rounds: 30, warmup: 300 * time.Millisecond, duration: time.Second, events: 100_000,
			attack: 12 * time.Second, attacks: 1, beside: 1, endings: 20,
		},
		views: viewPlan{
			entities: 100_000, few: 1_000, many: 1_000_000, rounds: 3, burst: 1500 * time.Millisecond,
			watchers: 1_000, subscribers: 2_000, warmup: time.Second, duration: 5 * time.Second,
			lag: views.LagPlan{
				Rows: 100_000, Bystanders: 200, Rounds: 3, Warmup: time.Second, Duration: 3 * time.Second,
				Settle: 12 * time.Second, SettleMost: settleMost,
			},
			idle: 15_000, settle: 5 * time.Second,
		},
	}
}

// quickPlan does everything, but so little of it that every part of a report together takes about
// a minute: it shows that all of it works.
func quickPlan() plan {
	const moment, while = 100 * time.Millisecond, 400 * time.Millisecond
	return plan{
		idle: 1_000, idleFew: 100, settle: while, settleMost: while, opening: 1_000, subscribers: 2_000,
		rounds: 1, warmup: moment, duration: while, churn: 4, churned: 500, churnSettle: moment,
		storm:       storm.Options{Members: 400, PerChannel: 50, Public: 200, SignIn: true, Quiet: while, Rounds: 1},
		stormWarmup: moment,
		pairs:       pairPlan{rounds: 2, fresh: 1, subscribers: 200, opening: 500, idle: 500, warmup: moment, duration: while},
		guards: guardPlan{
			idle: 1_000, rounds: 1, warmup: moment, duration: while, events: 5_000,
			attack: 2 * moment, attacks: 5, beside: 10, endings: 1,
		},
		views: viewPlan{
			entities: 100_000, few: 500, many: 20_000, rounds: 1, burst: 2 * moment,
			watchers: 200, subscribers: 2_000, warmup: moment, duration: while,
			lag: views.LagPlan{
				Rows: 20_000, Bystanders: 50, Rounds: 1, Warmup: moment, Duration: while, Settle: while, SettleMost: while,
			},
			idle: 1_000, settle: while,
		},
	}
}
