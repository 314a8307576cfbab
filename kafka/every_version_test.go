package kafka_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firn.dev/coordinator"
	"firn.dev/kafka"
	"firn.dev/topics"
)

// Every API in the register, in every version, answers an empty request and one in which every
// field is set with something that decodes to its last byte as that version's response.
func TestEveryVersionOfEveryAPIAnswers(t *testing.T) {
	f := startFirn(t, kafka.Options{Topics: topics.Options{AutoCreate: true}})
	for _, a := range kafka.APIs() {
		for version := a.Min; version <= a.Max; version++ {
			t.Run(fmt.Sprintf("%s/%d", a.Key.Name(), version), func(t *testing.T) {
				req := kmsg.RequestForKey(int16(a.Key))
				req.SetVersion(version)
				answerable(req)
				ask[kmsg.Response](t, f, req)

				topic := f.createTopic(t, strings.ToLower(fmt.Sprintf("%s-%d", a.Key.Name(), version)), 3)
				req = kmsg.RequestForKey(int16(a.Key))
				fill(reflect.ValueOf(req).Elem(), topic)
				req.SetVersion(version)
				answerable(req)
				ask[kmsg.Response](t, f, req)
			})
		}
	}
}

// answerable makes a Produce ask for an answer.
func answerable(req kmsg.Request) {
	if p, ok := req.(*kmsg.ProduceRequest); ok {
		p.Acks = -1
	}
}

// fill sets every field of a request: strings to a topic's name, ids to its id, numbers to 1, lists
// to one element.
func fill(v reflect.Value, topic *coordinator.Topic) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field, name := v.Field(i), v.Type().Field(i).Name
			switch {
			case name == "Version" || name == "UnknownTags":
			case strings.HasPrefix(name, "ClientSoftware"):
				field.SetString("test")
			case strings.HasPrefix(name, "Timeout"):
				field.SetInt(5000)
			default:
				fill(field, topic)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), topic)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), topic)
	case reflect.Array:
		reflect.Copy(v, reflect.ValueOf(topic.ID))
	case reflect.String:
		v.SetString(topic.Name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	default:
		panic("cannot fill a " + v.Type().String())
	}
}
