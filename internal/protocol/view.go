package protocol

import "strings"

// Mode says how a view is delivered (views 0).
type Mode string

// Modes of views, as they are spelled on the wire.
const (
	ModeState  Mode = "state"
	ModeList   Mode = "list"
	ModeAppend Mode = "append"
)

// SplitBaseView takes the id of a base view apart (views 5.1): "X/list" is the entity type X as a list.
func SplitBaseView(id string) (entity string, m Mode, ok bool) {
	slash := strings.LastIndexByte(id, '/')
	if slash <= 0 {
		return "", "", false
	}
	switch m = Mode(id[slash+1:]); m {
	case ModeList, ModeState, ModeAppend:
		return id[:slash], m, true
	}
	return "", "", false
}

// ChangeOp is what happened to an entity of a view (views 4.3), as it is spelled on the
// wire.
type ChangeOp string

// There are no others: clients mistake what they do not know.
const (
	OpPatch  ChangeOp = "patch"  // merge into what the subscriber has
	OpUpsert ChangeOp = "upsert" // replaces it
	OpDelete ChangeOp = "delete" // it is no longer in the view
)

// Change is one change of one entity, as one view shows it. It is immutable.
type Change struct {
	View   string // id of the view
	Mode   Mode
	Op     ChangeOp
	Key    string
	Append []string // OpPatch: dotted paths of the arrays that are appended to
	Seq    string   // cursor of the change, views 5.7; may be empty

	// Number counts the changes of an entity type. It never falls along a topic; the
	// changes of one batch may share one.
	Number uint64
}

// Row is one entity of a view.
type Row struct {
	Key  string
	Data []byte // one JSON object, as it goes on the wire
}

// ViewRequest is what a client asks of a view (views 3.2). Nil means absent.
type ViewRequest struct {
	View          string
	Key           *string
	Take          *int
	Skip          int
	After         *string // cursor, views 5.7
	SnapshotLimit *int
	NoSnapshot    bool
}

// ViewMessage is what MessageViewSubscribed and MessageViewSnapshot tell of a view.
type ViewMessage struct {
	View string
	Mode Mode

	// MessageViewSubscribed: how clients are to sort. An empty path means that they need not.
	SortPath []string
	SortDesc bool

	// MessageViewSnapshot.
	Rows       []Row
	IsFirst    bool     // of its snapshot
	IsWhole    bool     // with IsFirst: what the subscriber has of before counts no more; otherwise it does, and the rows are what has changed since
	Deleted    []string // keys that are gone since, when the snapshot is not whole
	IsComplete bool     // the last of its snapshot
}
