package explore

import "unsafe"

// frontier holds the states of one level, packed: of each state the words that are not zero.
type frontier[S any] struct {
	blocks [][]uint32
	count  int
	words  int // of a state
	masks  int // words that say which of them are not zero
}

const blockSize = 1 << 16

func newFrontier[S any]() *frontier[S] {
	var s S
	words := int(unsafe.Sizeof(s) / 4)
	if unsafe.Sizeof(s)%4 != 0 {
		panic("explore: a state whose size 4 does not divide")
	}
	return &frontier[S]{words: words, masks: (words + 31) / 32}
}

func wordsOf[S any](s *S) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(s)), unsafe.Sizeof(*s)/4)
}

func (f *frontier[S]) add(s *S) {
	if n := len(f.blocks); n == 0 || len(f.blocks[n-1])+f.masks+f.words > blockSize {
		f.blocks = append(f.blocks, make([]uint32, 0, blockSize))
	}
	b := &f.blocks[len(f.blocks)-1]
	at := len(*b)
	*b = (*b)[:at+f.masks]
	clear((*b)[at:])
	for i, w := range wordsOf(s) {
		if w != 0 {
			(*b)[at+i/32] |= 1 << (i % 32)
			*b = append(*b, w)
		}
	}
	f.count++
}

func (f *frontier[S]) join(other *frontier[S]) {
	f.blocks = append(f.blocks, other.blocks...)
	f.count += other.count
}

// each visits the states of one block, and lets it go.
func (f *frontier[S]) each(block int, visit func(*S)) {
	b := f.blocks[block]
	f.blocks[block] = nil
	for len(b) > 0 {
		var s S
		into := wordsOf(&s)
		mask, rest := b[:f.masks], b[f.masks:]
		for i := range into {
			if mask[i/32]>>(i%32)&1 != 0 {
				into[i], rest = rest[0], rest[1:]
			}
		}
		visit(&s)
		b = rest
	}
}
