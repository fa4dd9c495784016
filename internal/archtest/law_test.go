package archtest

// module is the path under which the repository imports itself.
const module = "github.com/millrace/millrace"

// ranks is the import law: a package imports only packages of a lower rank, or its own
// parent directory, whose contract it implements.
var ranks = map[string]int{
	"internal/bufpool":      0,
	"internal/websocket":    0,
	"internal/ordered":      0,
	"internal/keyed":        0,
	"internal/spelling":     0,
	"internal/coding":       0,
	"internal/glob":         0,
	"internal/locks":        0,
	"internal/descriptor":   0,
	"internal/backpressure": 0,
	"internal/timerwheel":   0,
	"internal/commit":       0,
	"internal/varint":       0,
	"internal/memory":       0,
	"internal/contexts":     0,
	"internal/protocol":     0,

	"internal/access":     1,
	"internal/app":        1,
	"internal/config":     1,
	"internal/jsonscan":   1,
	"internal/limit":      1,
	"internal/eventindex": 1,
	"internal/inbox":      1,
	"internal/frames":     1,
	"internal/missed":     1,
	"internal/rawio":      1,
	"internal/handshake":  1,
	"internal/envelope":   1,
	"internal/sendqueue":  1,

	"internal/protocol/pusher": 2,
	"internal/socket":          2,
	"internal/hub":             2,
	"internal/auth":            2,
	"internal/bus":             2,
	"internal/room":            2,
	"internal/metrics":         2,
	"internal/protocol/views":  2,
	"internal/entity":          2,
	"internal/query":           2,
	"internal/token":           2,
	"internal/meter":           2,
	"internal/audit":           2,
	"internal/telemetry":       2,
	"internal/directory":       2,
	"internal/http1":           2,
	"internal/forwarded":       2,
	"internal/probe":           2,
	"internal/sqlite":          2,
	"internal/idempotency":     2,
	"internal/log":             2,
	"internal/problem":         2,

	"internal/idempotency/local": 3,

	"internal/config/bind":      2,
	"internal/config/rules":     2,
	"internal/config/reference": 2,
	"internal/config/load":      3,
	"internal/config/appdoc":    3,
	"internal/config/foreign":   4,

	"internal/protocol/v2":             3,
	"internal/protocol/v2/messagepack": 3,
	"internal/protocol/v2/protobuf":    3,

	"internal/channel":        3,
	"internal/reader":         3,
	"internal/entity/owner":   3,
	"internal/definition":     3,
	"internal/derived":        3,
	"internal/catchup":        3,
	"internal/cluster/budget": 3,

	"internal/gate": 4,

	"internal/view":             4,
	"internal/admin":            4,
	"internal/page":             4,
	"internal/projection":       4,
	"internal/store/embedded":   4,
	"internal/store/postgres":   4,
	"internal/log/block":        4,
	"internal/log/tail":         4,
	"internal/log/embedded":     5,
	"internal/bus/local":        4,
	"internal/bench":            4,
	"internal/client":           4,
	"internal/cluster":          4,
	"internal/cluster/link":     4,
	"internal/cluster/known":    4,
	"internal/cluster/interest": 4,
	"internal/cluster/contact":  4,
	"internal/cluster/handover": 4,
	"internal/cluster/follower": 4,
	"internal/cluster/order":    4,

	"internal/cluster/owner":     5,
	"internal/cluster/admission": 5,
	"internal/cluster/node":      6,

	"internal/store/sqlstore":   2,
	"internal/webhook":          2,
	"internal/webhook/presence": 3,
	"internal/webhook/delivery": 3,
	"internal/webhook/outbox":   4,

	"internal/session":           5,
	"internal/session/pusher":    5,
	"internal/session/views":     5,
	"internal/httpapi":           5,
	"internal/httpapi/channels":  5,
	"internal/httpapi/views":     5,
	"internal/httpapi/operators": 5,

	"internal/listen":      3,
	"internal/provision":   5,
	"internal/doctor":      5,
	"internal/cli/command": 5,
	"internal/cli/remote":  6,
	"internal/server":      6,
	"internal/cli":         7,
	"cmd/millrace":         8,

	// What measures the product stands above it: the product cannot import it.
	"test/bench/child":   8,
	"test/bench/floor":   8,
	"test/bench/engine":  9,
	"test/bench/ending":  9,
	"test/bench/storm":   9,
	"test/bench/views":   9,
	"test/bench/hostile": 10,
	"test/bench/report":  11,
	"test/bench":         12,
}

// beside lists packages that stand beside the ranks: they may import anything, and only
// tests and each other may import them.
var beside = map[string]string{
	"internal/archtest":           "reads the repository, imports none of it",
	"internal/cluster/sim":        "is the world in which tests let machines of several nodes live",
	"internal/cluster/sim/script": "is what happens in that world, as text",
	"internal/bus/bustest":        "is the conformance suite of every bus",
	"internal/cluster/sim/model":  "judges what a simulated cluster does",
	"internal/cluster/sim/fleet":  "runs the machines of a cluster in that world, and has the models watch",
	"test/sim":                    "lets fleets run for long by hand",
	"internal/httpapi/apitest":    "boots the HTTP API on real engines for its tests",
	"internal/soak":               "lets a whole server live through random clients",
	"internal/log/logtest":        "is the conformance suite of every log",
	"internal/store/storetest":    "is the conformance suite of every store",
	"internal/testkit":            "boots a node for tests",
	"internal/testkit/formats":    "reads and writes the binary formats of protocol V2 apart from the codecs",
	"internal/testkit/killtest":   "kills a process of the test binary in the middle of its work",
	"internal/testkit/pgtest":     "runs a throw-away PostgreSQL for tests",
	"internal/testkit/transcript": "runs conversations written as text",
}

// rule lets only the named packages import something, for a reason.
type rule struct {
	importers []string
	reason    string
}

// only says who may import what. Keys are import paths, within the module without its name;
// a key that ends in /... covers everything below it.
var only = map[string]rule{
	"internal/config/...": {
		[]string{
			"internal/server", "internal/cli", "internal/cli/remote", "internal/provision", "internal/config/bind", "internal/config/rules", "internal/config/load",
			"internal/config/appdoc", "internal/config/foreign", "internal/config/reference",
		},
		"configuration must not leak; other packages take a small Options of their own",
	},
	"internal/provision": {
		[]string{"internal/server", "internal/cli", "internal/cli/remote"},
		"what apps are made of is installed in one place; cli checks that they can be made",
	},
	"internal/cli/...": {
		[]string{"cmd/millrace", "internal/cli", "internal/cli/remote"},
		"commands are called by their grammar alone",
	},
	"internal/page": {
		[]string{"internal/server"},
		"the page signs for every visitor; only the server decides that it is development mode",
	},
	"internal/server": {
		[]string{"internal/cli"},
		"the server is wired in one place and started from one place",
	},
	"golang.org/x/sys/...": {
		[]string{"internal/rawio", "internal/bench", "internal/cli", "test/bench/child", "test/bench/floor", "test/bench/storm"},
		"system calls on sockets are in one package; bench sleeps precisely; cli reads the clock that systemd asks for; child reserves ports; floor is the bare loop; storm lets others go before a crowd",
	},
	"syscall": {
		[]string{"internal/cli", "internal/listen", "internal/http1", "internal/rawio", "internal/descriptor", "internal/sqlite", "test/bench/child", "test/bench"},
		"as golang.org/x/sys; the signals that end a child and a command have their names there; rawio makes the calls that need not be told to the scheduler; descriptor asks how many there may be; cli names the signals that end the process; listen tells a dead unix socket by its error; http1 passes the socket of an upgrade on; sqlite tells a full disk by its error",
	},
	"unsafe": {
		[]string{"internal/rawio", "internal/websocket", "internal/jsonscan"},
		"unsafe views are for measured hot paths only",
	},
	"internal/rawio": {
		[]string{"internal/socket", "internal/http1"},
		"its calls must only be made on sockets in non-blocking mode",
	},
	"github.com/alecthomas/kong": {
		[]string{"internal/cli", "test/bench"},
		"a command line is its binary's alone",
	},
	"github.com/pelletier/go-toml/...": {
		[]string{"internal/config/load"},
		"one package reads the configuration file",
	},
	"internal/store/embedded": {
		[]string{"internal/server", "internal/cli", "test/bench"},
		"adapters are chosen where a node is put together; cli lets doctor look into one; the benchmark binary puts an engine together",
	},
	"internal/store/postgres": {
		[]string{"internal/server", "internal/doctor", "internal/cli"},
		"adapters are chosen where a node is put together; doctor asks whether one can be reached",
	},
	"modernc.org/sqlite/...": {
		[]string{"internal/sqlite"},
		"one adapter owns each driver",
	},
	"github.com/jackc/pgx/...": {
		[]string{"internal/store/postgres"},
		"one adapter owns each driver",
	},
	"github.com/golang-jwt/...": {
		[]string{"internal/token"},
		"one package knows tokens",
	},
	"github.com/tinylib/msgp/...": {
		[]string{"internal/protocol/v2/messagepack"},
		"one codec knows MessagePack",
	},
	"google.golang.org/protobuf/...": {
		[]string{"internal/protocol/v2/protobuf"},
		"one codec knows Protocol Buffers, without generated code",
	},
	"github.com/klauspost/compress/...": {
		[]string{"internal/protocol/views"},
		"what is compressed is the codec's decision",
	},
	"go.opentelemetry.io/...": {
		[]string{"internal/telemetry"},
		"others are traced by what wraps them",
	},
	"github.com/HdrHistogram/...": {
		[]string{"internal/bench", "test/bench/storm"},
		"histograms of latency are the load generator's",
	},
	"net/http/pprof": {
		[]string{"internal/server"},
		"its import registers handlers; only the second listener may serve them",
	},
	"testing": {
		nil,
		"test code stays out of the binary",
	},
}

// spawns lists the packages that may contain a go statement, or a call of WaitGroup.Go,
// outside tests, with what ends the goroutines. An idle connection owns none: everything else is
// called, on a goroutine that somebody lent.
var spawns = map[string]string{
	"internal/socket":         "pollers and borrowed goroutines; Engine.Run joins them",
	"internal/hub":            "one flusher per shard; Hub.Run joins them",
	"internal/session":        "workers for connections that have ended, joined by Registry.Run; one that tells clients to come back, joined by Drain",
	"internal/http1":          "one goroutine per connection that has not left for a poller, and one in net/http's Serve; Server.Serve joins them",
	"internal/directory":      "the watch of the store; Directory.Run joins it",
	"internal/store/embedded": "the folding of entities; Close joins it",
	"internal/log/embedded":   "the appender and the folder; Close joins them",
	"internal/sqlite":         "the writing back of the write-ahead log; Close joins it",
	"internal/server":         "listeners and lifecycles; Server.Run joins them",
	"internal/cli":            "signals and output; ends with the command",
	"internal/bench":          "publishers, subscribers and the progress line; end with the run",
	"test/bench/child":        "the wait for a process; ends with it",
	"test/bench/engine":       "the engine and its callers; Run and RunWebhooks join them",
	"test/bench/ending":       "publishers; end with the server",
	"test/bench/storm":        "the engines of the crowd and of the witnesses; end with Measure and RunCrowd",
	"test/bench/hostile":      "connections that attack; end with the attack",
	"test/bench/views":        "the reader that is slow on purpose; ends with its connection",
	"internal/client":         "the read loop of one connection; ends with Close",
	"internal/doctor":         "the subscriber of the test publish; ends with its check",

	"internal/webhook/delivery": "one worker per queue that has something to send; Sender.Wait joins them",
}

// pure packages hold data and arithmetic: what they must not import, and why.
var pure = map[string]rule{
	"internal/protocol": {
		[]string{"sync", "sync/atomic", "net", "net/http", "os", "io", "context", "log/slog"},
		"protocol is data and the Codec contract: no I/O, no locks, no goroutines",
	},
	"internal/protocol/pusher": {
		[]string{"sync", "net", "net/http", "os", "context", "log/slog"},
		"a codec is a stateless function from bytes to nouns and back",
	},
	"internal/protocol/v2": {
		[]string{"sync", "net", "net/http", "os", "context", "log/slog"},
		"a codec is a stateless function from bytes to nouns and back",
	},
	"internal/protocol/v2/messagepack": {
		[]string{"sync", "net", "net/http", "os", "context", "log/slog"},
		"a codec is a stateless function from bytes to nouns and back",
	},
	"internal/protocol/v2/protobuf": {
		[]string{"sync", "net", "net/http", "os", "context", "log/slog"},
		"a codec is a stateless function from bytes to nouns and back",
	},
	"internal/protocol/views": {
		[]string{"net", "net/http", "os", "context", "log/slog"},
		"a codec is a stateless function from bytes to nouns and back",
	},
	"internal/query": {
		[]string{"sync", "net", "net/http", "os", "context", "log/slog"},
		"a definition is data and arithmetic",
	},
	"internal/entity": {
		[]string{"context", "time", "os", "net", "log/slog", module + "/internal/commit"},
		"installing what was decided needs no store, no clock and no queue: every node does it",
	},
	"internal/derived": {
		[]string{"sync", "context", "time", "log/slog", module + "/internal/protocol", module + "/internal/hub"},
		"the rows of a derived view are computed, and neither published nor watched",
	},
	"internal/catchup": {
		[]string{"sync", "context", "time", "log/slog", module + "/internal/protocol", module + "/internal/hub"},
		"what a reader lacks is read from the state, however the reader is reached",
	},
	"internal/view": {
		[]string{module + "/internal/bus", module + "/internal/entity/owner"},
		"views are ordered by installing, under the lock of a type, which no call to another node may be made with",
	},
	"internal/hub": {
		[]string{module + "/internal/app", "net/http"},
		"the hub knows topics and connections, never an app's rules",
	},
	"internal/idempotency": {
		[]string{"sync", "net", "net/http", "os", "io", "log/slog"},
		"which request carries a key out is decided without I/O and without locks; its owner has these",
	},
	"internal/cluster/budget": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"a budget is a state machine, so that the simulator can run it",
	},
	"internal/cluster/admission": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"a gate is a state machine, so that the simulator can run it",
	},
	"internal/cluster/contact": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"a register is a state machine, so that the simulator can run it",
	},
	"internal/cluster/interest": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"what an owner knows of topics is part of a state machine, so that the simulator can run it",
	},
	"internal/cluster/order": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"a desk is a state machine, so that the simulator can run it",
	},
	"internal/cluster/link": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"a link is a state machine, so that the simulator can run it: its caller has the connection, the lock and the clock",
	},
	"internal/cluster/handover": {
		[]string{"sync", "sync/atomic", "net", "os", "io", "context", "log/slog"},
		"what is handed over is kept by a state machine, so that the simulator can run it",
	},
	"internal/socket": {
		[]string{module + "/internal/app", module + "/internal/protocol"},
		"the connection engine moves frames; what they say is the session's business",
	},
}

// Budgets, in lines. Long tails grow silently, so the hard stop is a test.
const (
	maxFunc     = 80
	maxFile     = 800
	maxPackage  = 2500 // without tests
	maxTestFile = 1000
	maxADR      = 60
	maxReadme   = 149
)

// grabBags are names that say nothing, so anything ends up there.
var grabBags = []string{
	"util", "utils", "common", "helper", "helpers", "tool", "tools", "types", "base",
	"manager", "misc", "shared", "lib", "core", "generic", "stuff",
}
