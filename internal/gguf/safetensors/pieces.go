package safetensors

import (
	"encoding/binary"
	"errors"
	"math"
)

// piece is a token of a SentencePiece model.
type piece struct {
	text  string
	score float32
	kind  int32 // SentencePiece's types are GGUF's
}

var errPieces = errors.New("it is no SentencePiece model")

// readPieces reads the pieces of a SentencePiece model, a protocol buffer: field 1 of
// the message is a piece, whose fields are text, score and type. Others are skipped.
func readPieces(data []byte) ([]piece, error) {
	var pieces []piece
	for len(data) > 0 {
		field, value, rest, err := readField(data)
		if err != nil {
			return nil, err
		}
		data = rest
		if field != 1<<3|2 {
			continue
		}
		p := piece{kind: normal}
		for len(value) > 0 {
			var inner []byte
			if field, inner, value, err = readField(value); err != nil {
				return nil, err
			}
			switch field {
			case 1<<3 | 2:
				p.text = string(inner)
			case 2<<3 | 5:
				p.score = math.Float32frombits(binary.LittleEndian.Uint32(inner))
			case 3 << 3:
				kind, _ := binary.Uvarint(inner)
				p.kind = int32(min(kind, 6))
			}
		}
		if len(pieces) >= maxVocabulary {
			return nil, errPieces
		}
		pieces = append(pieces, p)
	}
	if len(pieces) == 0 {
		return nil, errPieces
	}
	return pieces, nil
}

// readField takes one field off a message: its number and kind, and the bytes of its
// value.
func readField(data []byte) (field uint64, value, rest []byte, err error) {
	field, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, nil, errPieces
	}
	data = data[n:]
	size := 0
	switch field & 7 {
	case 0:
		if _, size = binary.Uvarint(data); size <= 0 {
			return 0, nil, nil, errPieces
		}
	case 1:
		size = 8
	case 2:
		length, n := binary.Uvarint(data)
		if n <= 0 || length > uint64(len(data)-n) {
			return 0, nil, nil, errPieces
		}
		data, size = data[n:], int(length)
	case 5:
		size = 4
	default:
		return 0, nil, nil, errPieces
	}
	if size > len(data) {
		return 0, nil, nil, errPieces
	}
	return field, data[:size], data[size:], nil
}
