// Package prefixstore keeps the keys and values of prompts' beginnings in a folder, so
// that they outlast the process: after a restart a prompt goes on where its longest
// beginning in the folder ends.
//
// The unit is a block of 16 tokens in the cache of one model. Its name in the folder is
// a hash of the model, of how it computes, and of all tokens up to the block's end: what
// is found under a name is what the model would compute again, bit for bit. A file is
// written beside its place and renamed, and its checksum is compared when it is read, so
// that one cut short by a crash is a block that is missing and nothing worse. The blocks
// that were not asked for the longest time go when the folder reaches its limit.
//
// It does not know what keys and values look like, nor where in memory they belong:
// package engine hands it bytes. Package instance opens it for the server.
package prefixstore
