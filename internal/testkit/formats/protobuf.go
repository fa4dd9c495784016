package formats

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// schema is the messages of v2 1.5.
const schema = `
name: "v2.proto" package: "v2" syntax: "proto2"
message_type { name: "Envelope"
  field { name: "event" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "channel" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "data" number: 3 type: TYPE_MESSAGE type_name: ".v2.Data" label: LABEL_OPTIONAL }
  field { name: "name" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "user_id" number: 5 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "tags" number: 6 type: TYPE_MESSAGE type_name: ".v2.Envelope.TagsEntry" label: LABEL_REPEATED }
  field { name: "sequence" number: 7 type: TYPE_UINT64 label: LABEL_OPTIONAL }
  field { name: "conflation_key" number: 8 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "message_id" number: 9 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "stream_id" number: 10 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "serial" number: 11 type: TYPE_UINT64 label: LABEL_OPTIONAL }
  field { name: "idempotency_key" number: 12 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "extras" number: 13 type: TYPE_MESSAGE type_name: ".v2.Extras" label: LABEL_OPTIONAL }
  field { name: "delta_sequence" number: 14 type: TYPE_UINT64 label: LABEL_OPTIONAL }
  field { name: "delta_conflation_key" number: 15 type: TYPE_STRING label: LABEL_OPTIONAL }
  nested_type { name: "TagsEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } } }
message_type { name: "Data" oneof_decl { name: "kind" }
  field { name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "json" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 } }
message_type { name: "Extras"
  field { name: "headers" number: 1 type: TYPE_MESSAGE type_name: ".v2.Extras.HeadersEntry" label: LABEL_REPEATED }
  field { name: "ephemeral" number: 2 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "idempotency_key" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "echo" number: 4 type: TYPE_BOOL label: LABEL_OPTIONAL }
  nested_type { name: "HeadersEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".v2.HeaderValue" label: LABEL_OPTIONAL } } }
message_type { name: "HeaderValue" oneof_decl { name: "kind" }
  field { name: "s" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "n" number: 2 type: TYPE_DOUBLE label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "b" number: 3 type: TYPE_BOOL label: LABEL_OPTIONAL oneof_index: 0 } }
`

// message makes an empty envelope.
func message() (*dynamicpb.Message, error) {
	var file descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(schema), &file); err != nil {
		return nil, err
	}
	d, err := protodesc.NewFile(&file, nil)
	if err != nil {
		return nil, err
	}
	return dynamicpb.NewMessage(d.Messages().ByName("Envelope")), nil
}

// field is the descriptor of a member of a message of JSON.
func field(m protoreflect.Message, name string) protoreflect.FieldDescriptor {
	switch name {
	case "__delta_seq":
		name = "delta_sequence"
	case "__conflation_key":
		name = "delta_conflation_key"
	}
	return m.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func marshal(members map[string]json.RawMessage) ([]byte, error) {
	m, err := message()
	if err != nil {
		return nil, err
	}
	for name, raw := range members {
		d := field(m, name)
		switch name {
		case "data":
			data := m.Mutable(d).Message()
			if text, isText := stringOf(raw); isText {
				data.Set(field(data, "text"), protoreflect.ValueOfString(text))
			} else {
				data.Set(field(data, "json"), protoreflect.ValueOfString(string(raw)))
			}
		case "extras":
			err = setExtras(m.Mutable(d).Message(), raw)
		default:
			text, isText := stringOf(raw)
			if d == nil || !isText {
				return nil, fmt.Errorf("no field for %s", name)
			}
			m.Set(d, protoreflect.ValueOfString(text))
		}
		if err != nil {
			return nil, err
		}
	}
	return proto.Marshal(m)
}

func setExtras(m protoreflect.Message, raw json.RawMessage) error {
	var x extras
	if err := json.Unmarshal(raw, &x); err != nil {
		return err
	}
	for name, value := range x.Headers {
		headers := m.Mutable(field(m, "headers")).Map()
		v := headers.NewValue()
		switch value := value.(type) {
		case float64:
			v.Message().Set(field(v.Message(), "n"), protoreflect.ValueOfFloat64(value))
		case bool:
			v.Message().Set(field(v.Message(), "b"), protoreflect.ValueOfBool(value))
		default:
			v.Message().Set(field(v.Message(), "s"), protoreflect.ValueOfString(fmt.Sprint(value)))
		}
		headers.Set(protoreflect.ValueOfString(name).MapKey(), v)
	}
	if x.Ephemeral != nil {
		m.Set(field(m, "ephemeral"), protoreflect.ValueOfBool(*x.Ephemeral))
	}
	if x.IdempotencyKey != nil {
		m.Set(field(m, "idempotency_key"), protoreflect.ValueOfString(*x.IdempotencyKey))
	}
	if x.Echo != nil {
		m.Set(field(m, "echo"), protoreflect.ValueOfBool(*x.Echo))
	}
	return nil
}

func unmarshal(frame []byte) (map[string]any, error) {
	m, err := message()
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(frame, m); err != nil {
		return nil, fmt.Errorf("%x: %w", frame, err)
	}
	all := map[string]any{}
	m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(d.Name())
		switch name {
		case "delta_sequence":
			name = "__delta_seq"
		case "delta_conflation_key":
			name = "__conflation_key"
		}
		switch name {
		case "data":
			var value any
			value, err = dataOf(v.Message())
			all[name] = value
		case "tags":
			tags := map[string]string{}
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				tags[k.String()] = v.String()
				return true
			})
			all[name] = tags
		case "extras":
			all[name] = extrasOf(v.Message())
		default:
			all[name] = v.Interface()
		}
		return err == nil
	})
	if len(m.GetUnknown()) > 0 {
		return nil, fmt.Errorf("%x has fields that there are not", frame)
	}
	return all, err
}

func dataOf(m protoreflect.Message) (any, error) {
	switch text, raw := field(m, "text"), field(m, "json"); {
	case m.Has(text):
		return m.Get(text).String(), nil
	case m.Has(raw):
		return json.RawMessage(m.Get(raw).String()), nil
	}
	return nil, errors.New("data of no kind")
}

func extrasOf(m protoreflect.Message) extras {
	var x extras
	if d := field(m, "headers"); m.Has(d) {
		x.Headers = map[string]any{}
		m.Get(d).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			h := v.Message()
			value := any("")
			h.Range(func(_ protoreflect.FieldDescriptor, v protoreflect.Value) bool {
				value = v.Interface()
				return true
			})
			x.Headers[k.String()] = value
			return true
		})
	}
	if d := field(m, "ephemeral"); m.Has(d) {
		is := m.Get(d).Bool()
		x.Ephemeral = &is
	}
	if d := field(m, "idempotency_key"); m.Has(d) {
		key := m.Get(d).String()
		x.IdempotencyKey = &key
	}
	if d := field(m, "echo"); m.Has(d) {
		is := m.Get(d).Bool()
		x.Echo = &is
	}
	return x
}
