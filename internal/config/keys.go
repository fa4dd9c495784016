package config

import "reflect"

// Field is a field of a table that an operator may set.
type Field struct {
	Key   string
	Index []int // for reflect.Value.FieldByIndex
}

// IsEmbedded reports whether the field is one of a struct that is embedded: of AppLimits in App.
func (f Field) IsEmbedded() bool { return len(f.Index) > 1 }

// FieldsOf lists the fields of t, with the fields of an embedded struct in its place.
func FieldsOf(t reflect.Type) []Field {
	list := make([]Field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		switch key := f.Tag.Get("toml"); {
		case f.Anonymous:
			for _, inner := range FieldsOf(f.Type) {
				list = append(list, Field{inner.Key, append([]int{i}, inner.Index...)})
			}
		case key != "":
			list = append(list, Field{key, f.Index})
		}
	}
	return list
}

// KeysOf lists the keys of the fields of t.
func KeysOf(t reflect.Type) []string {
	fields := FieldsOf(t)
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	return keys
}

// Join returns the path of a key in the table at path.
func Join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// IsSame reports whether two values of a key are equal. It takes an empty list for no list.
func IsSame(a, b reflect.Value) bool {
	bothEmpty := a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0
	return bothEmpty || reflect.DeepEqual(a.Interface(), b.Interface())
}
