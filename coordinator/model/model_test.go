package model

import (
	"testing"

	"firn.dev/coordinator/model/explore"
)

func TestStateHasNoPadding(t *testing.T) {
	if n := explore.Padding[state](); n != 0 {
		t.Errorf("%d bytes of State belong to none of its fields", n)
	}
}
