// Command avxvnni runs a program on a processor without AVX-VNNI as if it had that:
// it traces the program, and where a thread stops at a VPDPBUSD of 256 bits with a
// VEX prefix, does what the manual says of it and lets the thread go on. That takes
// some microseconds an instruction, so it is for tests:
//
//	go test -exec bin/avxvnni ./internal/kernel
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: avxvnni PROGRAM [ARGUMENT...]")
	}
	runtime.LockOSThread() // only the thread that started the program may trace it
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	code, done, err := trace(cmd.Process.Pid)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "avxvnni: %d instructions emulated\n", done)
	os.Exit(code)
}

// trace follows all threads of the program until it ends.
func trace(pid int) (code, emulated int, err error) {
	const exitKill = 0x100000 // PTRACE_O_EXITKILL
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return 0, 0, err
	}
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return 0, 0, err
	}
	if err := syscall.PtraceCont(pid, 0); err != nil {
		return 0, 0, err
	}
	known := map[int]bool{pid: true}
	for {
		thread, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, emulated, err
		}
		switch {
		case thread == pid && status.Exited():
			return status.ExitStatus(), emulated, nil
		case thread == pid && status.Signaled():
			return 128 + int(status.Signal()), emulated, nil
		case !status.Stopped():
			continue
		}
		signal := int(status.StopSignal())
		switch {
		case status.StopSignal() == syscall.SIGTRAP && status.TrapCause() > 0:
			signal = 0 // a new thread
		case status.StopSignal() == syscall.SIGSTOP && !known[thread]:
			signal = 0 // it begins stopped
		case status.StopSignal() == syscall.SIGILL:
			ok, err := emulate(thread)
			if err != nil {
				return 0, emulated, err
			}
			if ok {
				signal = 0
				emulated++
			}
		}
		known[thread] = true
		if err := syscall.PtraceCont(thread, signal); err != nil && err != syscall.ESRCH {
			return 0, emulated, err
		}
	}
}

// dot is a decoded instruction: acc += Σ of four products of unsigned bytes of v and
// signed bytes of x.
type dot struct{ x, v, acc int }

// length of the instruction in bytes.
const length = 5

// decode takes the three-byte VEX prefix, the opcode and a ModR/M byte that names a
// register apart.
func decode(b [length]byte) (d dot, ok bool) {
	const (
		inverted = 0x80
		vex      = 0xc4
		register = 0xc0
	)
	map2, wide, prefix := b[1]&31 == 2, b[2]&4 != 0, b[2]&3 == 1
	if b[0] != vex || !map2 || b[2]&0x80 != 0 || !wide || !prefix || b[3] != 0x50 || b[4]&register != register {
		return d, false
	}
	d = dot{x: int(b[4] & 7), v: int(^b[2] >> 3 & 15), acc: int(b[4] >> 3 & 7)}
	if b[1]&inverted == 0 {
		d.acc += 8
	}
	if b[1]&(inverted>>2) == 0 {
		d.x += 8
	}
	return d, true
}

// emulate does the instruction at which a thread has stopped, and sets it behind it.
func emulate(thread int) (ok bool, err error) {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(thread, &regs); err != nil {
		return false, err
	}
	var code [length]byte
	if _, err := syscall.PtracePeekText(thread, uintptr(regs.Rip), code[:]); err != nil {
		return false, err
	}
	d, ok := decode(code)
	if !ok {
		return false, nil
	}
	var s state
	if err := s.transfer(syscall.PTRACE_GETREGSET, thread); err != nil {
		return false, err
	}
	for lane := range 8 {
		x, v, acc := s.lane(d.x, lane), s.lane(d.v, lane), s.lane(d.acc, lane)
		sum := binary.LittleEndian.Uint32(acc)
		for i := range 4 {
			sum += uint32(int32(int8(x[i])) * int32(v[i]))
		}
		binary.LittleEndian.PutUint32(acc, sum)
	}
	const sseAndAVX = 2 | 4
	s.area[512] |= sseAndAVX // of the components that are not in their initial state
	if err := s.transfer(syscall.PTRACE_SETREGSET, thread); err != nil {
		return false, err
	}
	regs.Rip += length
	return true, syscall.PtraceSetRegs(thread, &regs)
}

// state is a thread's extended registers, as XSAVE lays them out.
type state struct {
	area [16 << 10]byte
	used uint64
}

func (s *state) transfer(request, thread int) error {
	const xstate = 0x202 // NT_X86_XSTATE
	if s.used == 0 {
		s.used = uint64(len(s.area))
	}
	vector := syscall.Iovec{Base: &s.area[0], Len: s.used}
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(thread), xstate, uintptr(unsafe.Pointer(&vector)), 0, 0)
	s.used = vector.Len
	if errno != 0 {
		return errno
	}
	return nil
}

// lane is a dword of a register of 256 bits: the lower halves of all lie in one place,
// the upper halves in another.
func (s *state) lane(register, lane int) []byte {
	const lower, upper = 160, 576
	at := lower + 16*register + 4*lane
	if lane >= 4 {
		at = upper + 16*register + 4*(lane-4)
	}
	return s.area[at : at+4]
}
