package kvevents

import (
	"encoding/hex"
	"testing"
)

// The bytes are those that Python's msgspec makes of vLLM's structures, for events as
// maps and as arrays.
func TestBytesOfMsgspec(t *testing.T) {
	events := []event{
		{kind: stored, hashes: []uint64{1, 0xfedcba9876543210}, tokens: []int32{0, 127, 128, 300, 70000, 5, 6, 7}},
		{kind: stored, hashes: []uint64{2}, parent: 7, tokens: []int32{1, 2, 3, 4}},
		{kind: removed, hashes: []uint64{5}},
		{kind: cleared},
	}
	for _, c := range []struct {
		arrays bool
		want   string
	}{
		{false, "93cb3ff80000000000009488a474797065ab426c6f636b53746f726564ac626c6f636b5f6861736865739201cffedcba9876543210" +
			"b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f69647398007fcc80cd012cce00011170050607aa626c6f636b5f73697a6504" +
			"a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c088a474797065ab426c6f636b53746f726564" +
			"ac626c6f636b5f6861736865739102b1706172656e745f626c6f636b5f6861736807a9746f6b656e5f6964739401020304" +
			"aa626c6f636b5f73697a6504a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0" +
			"83a474797065ac426c6f636b52656d6f766564ac626c6f636b5f6861736865739105a66d656469756da3475055" +
			"81a474797065b0416c6c426c6f636b73436c656172656400"},
		{true, "93cb3ff80000000000009498ab426c6f636b53746f7265649201cffedcba9876543210c098007fcc80cd012cce0001117005060704c0a3475055c0" +
			"98ab426c6f636b53746f726564910207940102030404c0a3475055c093ac426c6f636b52656d6f7665649105a3475055" +
			"91b0416c6c426c6f636b73436c656172656400"},
	} {
		e := encoder{blockTokens: 4, arrays: c.arrays}
		if got := hex.EncodeToString(e.batch(1.5, events)); got != c.want {
			t.Errorf("arrays %v:\n%s\nwant\n%s", c.arrays, got, c.want)
		}
	}
}
