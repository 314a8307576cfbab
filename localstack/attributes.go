package localstack

import "syscall"

// detached gives the server a session of its own: it outlives the terminal and the process that
// started it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
