package postgres

import (
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrTooNew: a newer version of Millrace has made the tables.
var ErrTooNew = errors.New("the tables were made by a newer version of Millrace")

// Codes of PostgreSQL that an operator can do something about.
const (
	codeInvalidAuthorization  = "28000"
	codeInvalidPassword       = "28P01"
	codeNoDatabase            = "3D000"
	codeNoSchema              = "3F000"
	codeNoPrivilege           = "42501"
	codeNoTable               = "42P01"
	codeReadOnly              = "25006"
	codeTooManyConnections    = "53300"
	codeDiskFull              = "53100"
	codeAdminShutdown         = "57P01"
	codeCannotConnectNow      = "57P03"
	codeLockNotAvailable      = "55P03"
	codeUntranslatableText    = "22P05"
	codeUntranslatableEncoded = "22021"
)

// explain adds what an operator can do about an error.
func explain(err error) error {
	hint := ""
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		hint = hintOf(e.Code)
	} else if _, ok := errors.AsType[net.Error](err); ok {
		hint = "check that PostgreSQL runs there and that this machine can reach it"
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}

func hintOf(code string) string {
	switch code {
	case codeInvalidAuthorization, codeInvalidPassword:
		return "check the user and the password of the URL, and pg_hba.conf of the server"
	case codeNoDatabase:
		return "make the database, for example with createdb, or name another one in the URL"
	case codeNoSchema:
		return "make the schema, or name another one with search_path in the URL"
	case codeNoPrivilege:
		return "let the user of the URL create tables in the schema, or read and write those whose names begin with millrace_"
	case codeNoTable:
		return "the tables have gone since the start, or are in another schema; a restart makes them"
	case codeReadOnly:
		return "the server is a read-only copy; name the primary in the URL, or all servers with target_session_attrs=read-write"
	case codeTooManyConnections:
		return "raise max_connections of the server, or lower pool_max_conns in the URL"
	case codeDiskFull:
		return "make room on the disk of the server"
	case codeAdminShutdown, codeCannotConnectNow:
		return "the server is starting or stopping"
	case codeLockNotAvailable:
		return "another session holds a lock on the tables"
	case codeUntranslatableText, codeUntranslatableEncoded:
		return "the database cannot keep this text; make it with the encoding UTF8"
	default:
		return ""
	}
}
