package segments_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"firn.dev/segments"
	"firn.dev/segments/memory"
)

// overwriting is a store that ignores the condition of a put.
type overwriting struct{ segments.Store }

func (s overwriting) Put(ctx context.Context, key string, body []byte) error {
	if err := s.Delete(ctx, key); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, body)
}

// late is a store whose listings lag behind.
type late struct{ segments.Store }

func (late) List(context.Context, string, string) iter.Seq2[segments.Object, error] {
	return func(func(segments.Object, error) bool) {}
}

// keeping is a store that deletes nothing, and does not say so.
type keeping struct{ segments.Store }

func (keeping) Delete(context.Context, ...string) error { return nil }

func TestProve(t *testing.T) {
	store := memory.New()
	if err := segments.Prove(t.Context(), store); err != nil {
		t.Error(err)
	}
	for object, err := range store.List(t.Context(), "", "") {
		t.Errorf("left behind: %s, %v", object.Key, err)
	}
	if err := segments.Prove(t.Context(), overwriting{memory.New()}); !errors.Is(err, segments.ErrOverwrites) {
		t.Errorf("a store that overwrites: %v", err)
	}
	if err := segments.Prove(t.Context(), late{memory.New()}); !errors.Is(err, segments.ErrListsLate) {
		t.Errorf("a store that lists late: %v", err)
	}
	if err := segments.Prove(t.Context(), keeping{memory.New()}); !errors.Is(err, segments.ErrKeepsDeleted) {
		t.Errorf("a store that deletes nothing: %v", err)
	}
}
