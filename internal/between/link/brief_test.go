package link

import (
	"encoding/json"
	"reflect"
	"testing"
)

// fill gives everything in v a value that is not zero, unlike the one before.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(rune('a'+*n%26)) + "\u00fc")
	case reflect.Int, reflect.Int64:
		v.SetInt(*n * []int64{1, -1, 1 << 40}[*n%3])
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Tag.Get("json") != "-" {
				fill(v.Field(i), n)
			}
		}
	}
}

// Each field of a message arrives, in brief or as JSON; those that are said while handlers start are in brief.
func TestEachFieldArrives(t *testing.T) {
	n := int64(0)
	for i := range reflect.TypeFor[Message]().NumField() {
		var m Message
		if field := reflect.TypeFor[Message]().Field(i); field.Name == "FDs" {
			continue
		}
		m.Kind = Table
		fill(reflect.ValueOf(&m).Elem().Field(i), &n)
		body, err := encode(&m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(body); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: got %+v, want %+v; %v", reflect.TypeFor[Message]().Field(i).Name, got, m, err)
		}
	}
	for _, m := range []Message{
		{Kind: Open, Name: "a", Cell: 7, Limits: Limits{MaxConns: 9}, Plugins: []Plugin{{Name: "a", Path: "/b", Bounds: Bounds{MaxInFlight: 3}}}},
		{Kind: Ready, Plugins: []Plugin{{Name: "a", Patterns: []string{"/a", "GET /b"}}}},
		{Kind: Table, Version: 3, Since: 2, Gone: []string{"/c"}, Routes: []Route{{Pattern: "/", Cell: 1, Canary: Canary{Cell: 2, Weight: 5}}}},
		{Kind: Ack, Version: 3}, {Kind: Join}, {Kind: Retire, Grace: 5},
	} {
		if got, err := ofBrief(brief(&m)[1:]); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, want %+v; %v", got, m, err)
		}
	}
	if b := brief(&Message{Kind: Ready, Plugins: []Plugin{{Patterns: []string{"/\xff"}}}}); b != nil {
		t.Errorf("what is no text is written as %q", b) // json makes one of it
	}
}

// What is read as brief is written so again, and says the same as JSON.
func FuzzBrief(f *testing.F) {
	f.Add(brief(&Message{Kind: Open, Limits: Limits{Hold: -5}, Plugins: []Plugin{{Name: "a", Patterns: []string{"/"}}}})[1:])
	f.Add(brief(&Message{Kind: Table, Routes: []Route{{Pattern: "/", Down: true}}, Gone: []string{"/b"}})[1:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ofBrief(text)
		if err != nil {
			return
		}
		if again, err := ofBrief(brief(&m)[1:]); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v is %+v; %v", m, again, err)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decode(b); err != nil || !reflect.DeepEqual(same, m) {
			t.Errorf("%+v is %+v as JSON; %v", m, same, err)
		}
	})
}

// A message that is cut anywhere, or goes on, is none.
func TestCutBrief(t *testing.T) {
	m := Message{Kind: Open, Name: "hello", Plugins: []Plugin{{Name: "a", Path: "/b", Patterns: []string{"/a"}}}, Routes: []Route{{Pattern: "/", Cell: 300}}}
	whole := brief(&m)
	for n := 1; n < len(whole); n++ {
		if got, err := decode(whole[:n]); err == nil {
			t.Errorf("of %d bytes, %d are %+v", len(whole), n, got)
		}
	}
	if got, err := decode(append(whole, 0)); err == nil {
		t.Errorf("with one more it is %+v", got)
	}
}
