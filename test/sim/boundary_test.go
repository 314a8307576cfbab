package sim

import (
	"iter"
	"reflect"
	"testing"
	"testing/synctest"

	"firn.dev/coordinator"
	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// Every call of the coordinator, of the bucket and of an upload can suffer faults: a method that is
// new passes through call as well.
func TestEveryCallCrossesTheBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&Plan{Nodes: 1}, false)
		defer w.tasks.Wait()
		defer w.cancel()
		p := w.newProcess("caller")
		upload, err := memory.New().Create(t.Context(), "segments/x")
		if err != nil {
			t.Fatal(err)
		}
		bucket := &store{p, w.bucket}
		for contract, caller := range map[reflect.Type]any{
			reflect.TypeFor[coordinator.Coordinator](): &redis{p, 0},
			reflect.TypeFor[segments.Store]():          bucket,
			reflect.TypeFor[segments.Cleaner]():        bucket,
			reflect.TypeFor[segments.Upload]():         newUpload(t.Context(), bucket, upload),
		} {
			for i := range contract.NumMethod() {
				m := contract.Method(i)
				before := w.calls
				invoke(reflect.ValueOf(caller).MethodByName(m.Name), t)
				if w.calls == before {
					t.Errorf("%s.%s makes no call", contract.Name(), m.Name)
				}
			}
		}
	})
}

// invoke calls a method with a context and otherwise nothing, and goes through what it yields.
func invoke(method reflect.Value, t *testing.T) {
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		switch in := method.Type().In(i); {
		case i == method.Type().NumIn()-1 && method.Type().IsVariadic():
		case in.Kind() == reflect.Interface:
			args = append(args, reflect.ValueOf(t.Context()))
		case in == reflect.TypeFor[*coordinator.State]():
			args = append(args, reflect.ValueOf(coordinator.NewState(1, "cluster")))
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	switch results := method.Call(args); yielded := results[0].Interface().(type) {
	case iter.Seq2[coordinator.Entry, error]:
		yielded(func(coordinator.Entry, error) bool { return false })
	case iter.Seq2[segments.Object, error]:
		yielded(func(segments.Object, error) bool { return false })
	}
}
