//go:build !linux || !amd64

package main

import "log"

func main() { log.Fatal("avxvnni traces programs of Linux on x86-64 only") }
