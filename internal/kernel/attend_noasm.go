//go:build (!amd64 && !arm64) || purego

package kernel

func (Set) attendScores(st *attendState)  { attendScoresGeneric(st) }
func (Set) attendWeights(st *attendState) { attendWeightsGeneric(st) }
func (Set) attendGrid(st *attendState)    { attendGridGeneric(st) }
func (Set) attendValues(st *attendState)  { attendValuesGeneric(st) }
func (Set) attendSoftcap(st *attendState) { attendSoftcapGeneric(st) }

func (Set) storeK(block []byte, slot int, k []float32) { storeKGeneric(block, slot, k, 0) }
func (Set) storeV(block []byte, slot int, v []float32) { storeVGeneric(block, slot, v, 0) }

func (Set) keyInts(kv *KV, row, x []float32, perPeak float32) (scale float32, allFinite bool) {
	return keyIntsGeneric(kv, row, x, perPeak)
}

func (Set) valueInts(dst []int16, x []float32, perPeak float32) (scale float32, allFinite bool) {
	return valueIntsGeneric(dst, x, perPeak)
}

func (Set) storeKeyInts(kv *KV, block []byte, slot int, k []float32) float32 { return -1 }

func (Set) storeValueInts(kv *KV, block []byte, at int, v []float32) float32 { return -1 }
