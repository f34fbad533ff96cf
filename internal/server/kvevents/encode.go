package kvevents

import "github.com/tinylib/msgp/msgp"

// event is one of vLLM's three kinds of events.
type event struct {
	kind   string
	hashes []uint64
	parent uint64 // 0: none
	tokens []int32
}

const (
	stored  = "BlockStored"
	removed = "BlockRemoved"
	cleared = "AllBlocksCleared"
)

// medium is where the blocks are. vLLM's routers count blocks of the medium GPU only,
// which means the memory that the model computes in.
const medium = "GPU"

// encoder writes batches of events as vLLM's msgspec structures are encoded.
type encoder struct {
	blockTokens int
	arrays      bool // events are arrays with the kind first, not maps with the kind under "type"
}

// batch encodes a batch: time, events, rank.
func (e *encoder) batch(seconds float64, events []event) []byte {
	b := msgp.AppendArrayHeader(nil, 3)
	b = msgp.AppendFloat64(b, seconds)
	b = msgp.AppendArrayHeader(b, uint32(len(events)))
	for i := range events {
		b = e.event(b, &events[i])
	}
	return msgp.AppendInt(b, 0) // the rank among copies of a model in one server
}

func (e *encoder) event(b []byte, v *event) []byte {
	f := &fields{b: b, arrays: e.arrays}
	switch v.kind {
	case stored:
		f.begin(v.kind, 7)
		f.hashes(v.hashes)
		f.key("parent_block_hash")
		if v.parent == 0 {
			f.b = msgp.AppendNil(f.b)
		} else {
			f.b = msgp.AppendUint64(f.b, v.parent)
		}
		f.key("token_ids")
		f.b = msgp.AppendArrayHeader(f.b, uint32(len(v.tokens)))
		for _, t := range v.tokens {
			f.b = msgp.AppendUint32(f.b, uint32(t))
		}
		f.key("block_size")
		f.b = msgp.AppendInt(f.b, e.blockTokens)
		f.null("lora_id")
		f.text("medium", medium)
		f.null("lora_name")
	case removed:
		f.begin(v.kind, 2)
		f.hashes(v.hashes)
		f.text("medium", medium)
	default:
		f.begin(v.kind, 0)
	}
	return f.b
}

// fields appends the fields of an event, with their names where it is a map.
type fields struct {
	b      []byte
	arrays bool
}

// begin begins an event with n fields besides its kind.
func (f *fields) begin(kind string, n uint32) {
	if f.arrays {
		f.b = msgp.AppendString(msgp.AppendArrayHeader(f.b, n+1), kind)
		return
	}
	f.b = msgp.AppendMapHeader(f.b, n+1)
	f.text("type", kind)
}

func (f *fields) key(name string) {
	if !f.arrays {
		f.b = msgp.AppendString(f.b, name)
	}
}

func (f *fields) null(name string) {
	f.key(name)
	f.b = msgp.AppendNil(f.b)
}

func (f *fields) text(name, value string) {
	f.key(name)
	f.b = msgp.AppendString(f.b, value)
}

func (f *fields) hashes(all []uint64) {
	f.key("block_hashes")
	f.b = msgp.AppendArrayHeader(f.b, uint32(len(all)))
	for _, h := range all {
		f.b = msgp.AppendUint64(f.b, h)
	}
}
