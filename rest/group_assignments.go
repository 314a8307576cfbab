package rest

import (
	"encoding/binary"
	"net/http"

	"firn.dev/access"
	"firn.dev/groups"
)

// assignedPartitionBytes is what a partition of a member takes in an answer, about.
const assignedPartitionBytes = 96

// assignmentBytes is what the assignments of a group's members take in an answer, about.
func assignmentBytes(d *groups.Description) (n int64) {
	for i := range d.Members {
		m := &d.Members[i]
		n += int64(len(m.Has)+len(m.Assignment)/4) * assignedPartitionBytes // four bytes say which partition it is
	}
	return n
}

// assignedTo is what a member may read, of the topics that the client may know of.
func (s *Server) assignedTo(r *http.Request, m *groups.Member) []partitionName {
	assigned := []partitionName{}
	add := func(topic string, partition int32) {
		if allows(r, access.Describe, access.Topic, topic) {
			assigned = append(assigned, partitionName{topic, partition})
		}
	}
	for _, at := range m.Has {
		if t := s.view().TopicByID(at.Topic); t != nil {
			add(t.Name, at.Index)
		}
	}
	readAssignment(m.Assignment, add)
	return assigned
}

// readAssignment gives the partitions of an assignment of Kafka's consumer protocol to add. Members
// wrote it, so it may be anything: what comes behind something that it cannot be is left out.
func readAssignment(b []byte, add func(topic string, partition int32)) {
	ok := true
	take := func(n int) []byte {
		if n < 0 || n > len(b) {
			ok, b = false, nil
			return make([]byte, 4)
		}
		taken := b[:n]
		b = b[n:]
		return taken
	}
	count := func() int32 { return int32(binary.BigEndian.Uint32(take(4))) }
	take(2) // the version: later ones add to the end
	for range min(max(count(), 0), int32(len(b))) {
		topic := string(take(int(int16(binary.BigEndian.Uint16(take(2))))))
		for range min(max(count(), 0), int32(len(b))/4) {
			if partition := count(); ok {
				add(topic, partition)
			}
		}
		if !ok {
			return
		}
	}
}
