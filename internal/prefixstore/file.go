package prefixstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/penstock-llm/penstock/internal/batch"
)

// Block is what is kept of a block.
type Block struct {
	Parent Key     // of the block before it
	Tokens []int32 // [16]
	Full   []byte  // keys and values of the layers that see all positions
	Window []byte  // those of the layers with a window, or nothing if they were gone already
}

// ErrDamaged is wrapped by the error of a file that is not what was written.
var ErrDamaged = errors.New("damaged")

// A file is this head, the bytes of Full and those of Window.
type head struct {
	Magic        [8]byte
	Sum          uint32 // CRC-32C of all that follows it
	Full, Window uint32 // bytes
	Parent       Key
	Tokens       [batch.BlockTokens]int32
}

var (
	magic    = [8]byte{'P', 'S', 'P', 'R', 'E', 'F', 'X', 1}
	headSize = binary.Size(head{})
	sumEnd   = len(magic) + 4
	table    = crc32.MakeTable(crc32.Castagnoli)
)

// write writes a block to a file.
func write(w io.Writer, b *Block) error {
	h := head{Magic: magic, Full: uint32(len(b.Full)), Window: uint32(len(b.Window)), Parent: b.Parent}
	copy(h.Tokens[:], b.Tokens)
	buf := make([]byte, headSize)
	if _, err := binary.Encode(buf, binary.LittleEndian, &h); err != nil {
		return err
	}
	sum := crc32.Update(0, table, buf[sumEnd:])
	sum = crc32.Update(sum, table, b.Full)
	sum = crc32.Update(sum, table, b.Window)
	binary.LittleEndian.PutUint32(buf[len(magic):], sum)
	for _, part := range [][]byte{buf, b.Full, b.Window} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// read reads the file of a block into b, whose Full and Window have room for as much as
// the model's blocks have; Window is cut to nothing if there is none. Nothing of b counts
// after an error, which wraps ErrDamaged where the file was read and is not what was
// written, and not where the reading failed.
func read(path string, key Key, b *Block) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, headSize)
	h, err := readHead(f, buf)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if int(h.Full) != len(b.Full) || h.Window != 0 && int(h.Window) != len(b.Window) {
		return damaged(path, fmt.Errorf("%d and %d bytes, want %d and %d", h.Full, h.Window, len(b.Full), len(b.Window)))
	}
	b.Window = b.Window[:h.Window]
	sum := crc32.Update(0, table, buf[sumEnd:])
	for _, part := range [][]byte{b.Full, b.Window} {
		if err := fill(f, part); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		sum = crc32.Update(sum, table, part)
	}
	if sum != h.Sum {
		return damaged(path, errors.New("wrong checksum"))
	}
	b.Parent, b.Tokens = h.Parent, append(b.Tokens[:0], h.Tokens[:]...)
	if b.Parent.Next(b.Tokens) != key {
		return damaged(path, errors.New("it has another block's content"))
	}
	return nil
}

// readHead reads the beginning of a file through buf.
func readHead(f io.Reader, buf []byte) (h head, err error) {
	if err := fill(f, buf); err != nil {
		return h, err
	}
	if _, err := binary.Decode(buf, binary.LittleEndian, &h); err != nil {
		return h, err
	}
	if !bytes.Equal(h.Magic[:], magic[:]) {
		return h, fmt.Errorf("%w: not a block of this version", ErrDamaged)
	}
	return h, nil
}

// fill reads all of a part. A file that ends before is damaged; one that the disk does
// not give at present is not.
func fill(f io.Reader, part []byte) error {
	_, err := io.ReadFull(f, part)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}

func damaged(path string, err error) error {
	return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
}
