package process

import "syscall"

// attributes has the kernel kill the server when we end without having done so.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
