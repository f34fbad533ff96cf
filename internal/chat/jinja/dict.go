package jinja

// Dict is a Python dict: it keeps the order of insertion.
type Dict struct {
	keys  []Value
	vals  []Value
	index map[string]int // positions of string keys, once there are many
}

const indexFrom = 9 // below this a linear search is quicker than a map

// NewDict returns an empty dict with room for n entries.
func NewDict(n int) *Dict {
	room := make([]Value, 2*n) // one allocation for both
	return &Dict{keys: room[:0:n], vals: room[n : n : 2*n]}
}

// Len returns the number of entries.
func (d *Dict) Len() int { return len(d.keys) }

// Get returns the value of a string key.
func (d *Dict) Get(key string) (Value, bool) {
	if i := d.find(key); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

// Set adds an entry or replaces its value.
func (d *Dict) Set(key string, v Value) {
	if i := d.find(key); i >= 0 {
		d.vals[i] = v
		return
	}
	d.append(key, v)
}

// setMarked is Set for a key that is marked if it came from a client.
func (d *Dict) setMarked(key string, v Value, client bool) {
	switch i := d.find(key); {
	case i >= 0:
		d.vals[i] = v
	case client:
		d.append(Client(key), v)
	default:
		d.append(key, v)
	}
}

// At returns the entry at position i of the order; keys that are not strings
// come out as "".
func (d *Dict) At(i int) (key string, v Value) {
	key, _ = look(d.keys[i])
	return key, d.vals[i]
}

func (d *Dict) find(key string) int {
	if d.index != nil {
		if i, ok := d.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range d.keys {
		if s, ok := look(k); ok && s == key {
			return i
		}
	}
	return -1
}

func (d *Dict) append(key, v Value) {
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, v)
	if d.index != nil {
		if s, ok := look(key); ok {
			d.index[s] = len(d.keys) - 1
		}
		return
	}
	if len(d.keys) < indexFrom {
		return
	}
	d.index = make(map[string]int, 2*len(d.keys))
	for i, k := range d.keys {
		if s, ok := look(k); ok {
			d.index[s] = i
		}
	}
}

// lookup finds any hashable key.
func (in *interp) lookup(d *Dict, key Value) (Value, bool) {
	if i := in.position(d, key); i >= 0 {
		return d.vals[i], true
	}
	return nil, false
}

func (in *interp) position(d *Dict, key Value) int {
	if s, ok := look(key); ok {
		in.scan(len(s))
		return d.find(s)
	}
	if !in.hashable(key) {
		fail("unhashable type: '%s'", typeName(key))
	}
	in.scan(16 * len(d.keys))
	for i, k := range d.keys {
		if _, ok := look(k); !ok && in.equal(k, key) {
			return i
		}
	}
	return -1
}

// assign is d[key] = v, for dicts that are still being built.
func (in *interp) assign(d *Dict, key, v Value) {
	if i := in.position(d, key); i >= 0 {
		d.vals[i] = v
		return
	}
	in.charge(64)
	d.append(plain(key), v)
}

func (in *interp) hashable(v Value) bool {
	in.enter()
	defer in.leave()
	switch v := v.(type) {
	case *List:
		if !v.Tuple {
			return false
		}
		for _, x := range v.Items {
			if !in.hashable(x) {
				return false
			}
		}
	case *Dict:
		return false
	}
	return true
}

// copyOf returns a dict with the same entries.
func (in *interp) copyOf(d *Dict) *Dict {
	in.charge(64 * len(d.keys))
	c := &Dict{}
	for i, k := range d.keys {
		c.append(k, d.vals[i])
	}
	return c
}
