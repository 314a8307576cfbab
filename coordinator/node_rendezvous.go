package coordinator

import "hash/fnv"

// Rendezvous returns the node with the highest score for the key; false if there is no node. When a
// node comes or goes, only the keys that it wins or held move. The scores are part of what nodes of
// different versions have to agree on.
func Rendezvous(nodes []NodeInfo, key []byte) (winner NodeInfo, ok bool) {
	h := fnv.New64a()
	h.Write(key)
	sum := h.Sum64()
	var best uint64
	for _, n := range nodes {
		if score := mix(sum ^ mix(uint64(uint32(n.ID))+1)); !ok || score > best {
			winner, best, ok = n, score, true
		}
	}
	return winner, ok
}

// mix spreads every bit of x over all bits of the result (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
