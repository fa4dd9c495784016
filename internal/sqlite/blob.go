package sqlite

import "fmt"

// Blob scans a BLOB without a copy. The bytes belong to the caller: the driver makes new ones for each row.
// With another driver TestABlobIsItsOwn would fail.
type Blob []byte

// Scan implements sql.Scanner.
func (b *Blob) Scan(value any) error {
	bytes, ok := value.([]byte)
	if !ok && value != nil {
		return fmt.Errorf("sqlite: a column has %T, want a BLOB", value)
	}
	*b = bytes
	return nil
}
