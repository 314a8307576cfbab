package segments

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of Prove: what a bucket does that no log can be kept in. Use another store, or mend this
// one.
var (
	// ErrOverwrites is returned when a second put of one key was not refused: two servers could
	// acknowledge different records at one offset.
	ErrOverwrites = errors.New("the store does not honour If-None-Match: it takes a second object of the same name, so " +
		"nothing in it is safe")

	// ErrListsLate is returned when an object that was just put is not listed: a recovery could miss
	// the end of a journal.
	ErrListsLate = errors.New("the store does not list an object that it has just taken, so a recovery could miss " +
		"acknowledged records")
)

// ErrKeepsDeleted is returned when a store says that an object is deleted and has it all the same,
// and all else is well: a log can be kept there, but what is garbage is never gone.
var ErrKeepsDeleted = errors.New("the store says that an object is deleted, and still has it: the bucket " +
	"grows without bound, unless rules of its own delete what is old (versions, say)")

// probePrefix is where Prove puts its objects. One that a crash leaves behind is in nobody's way.
const probePrefix = "probes/"

// Prove tries the two properties of a store that everything rests on: a put of a key that exists is
// refused, and an object that was put is listed. Then it looks whether deletes delete;
// ErrKeepsDeleted is no reason not to go on. It costs two puts, a listing, a delete and a get.
func Prove(ctx context.Context, store Store) error {
	key := probePrefix + NewID(time.Now()).String()
	if err := store.Put(ctx, key, []byte("first")); err != nil {
		return err
	}
	listed := false
	for object, err := range store.List(ctx, probePrefix, "") {
		if err != nil {
			return err
		}
		listed = listed || object.Key == key
	}
	switch err := store.Put(ctx, key, []byte("second")); {
	case err == nil:
		return fmt.Errorf("%w (put %s)", ErrOverwrites, key)
	case !errors.Is(err, ErrExists):
		return err
	case !listed:
		return fmt.Errorf("%w (%s)", ErrListsLate, key)
	}
	if err := store.Delete(ctx, key); err != nil {
		return err
	}
	switch _, err := store.Get(ctx, key, 0, 1); {
	case err == nil:
		return fmt.Errorf("%w (%s)", ErrKeepsDeleted, key)
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}
