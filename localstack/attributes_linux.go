package localstack

import "syscall"

// attached has the kernel kill the server when the process that started it ends without having done
// so.
func attached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
