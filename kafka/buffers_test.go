package kafka

import "testing"

func TestBuffers(t *testing.T) {
	var b buffers
	for size, kept := range map[int]bool{1: false, firstStepBytes: false, firstStepBytes + 1: true, 1 << 20: true,
		1<<20 + 1: true, 7 << 20: true, 1 << 24: true, 1<<24 + 1: true, 100 << 20: true, 1<<27 + 1: false} {
		buffer := b.make(size)
		if len(buffer) != size || cap(buffer) > size+size/4 {
			t.Errorf("make(%d) has length %d and capacity %d", size, len(buffer), cap(buffer))
		}
		class, length, is := b.class(size)
		if is != kept {
			t.Errorf("class(%d) = %v", size, is)
		}
		if again, same, _ := b.class(length); kept && (again != class || same != length || length < size) {
			t.Errorf("class(%d) = %d of %d bytes, and of those %d of %d bytes", size, class, length, again, same)
		}
		b.give(buffer)
		if again := b.take(size); again != nil && len(again) != size { // a pool may forget at any time
			t.Errorf("take(%d) has length %d", size, len(again))
		}
	}
	b.give(make([]byte, 100_000)) // of no class
	if again := b.take(100_000); again != nil {
		t.Error("a buffer of no class was kept")
	}
}
