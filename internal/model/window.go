package model

// sliding reads the model's window, which c has a default for, and says which layers see no more than it: all but
// the last of every period, where the file does not list them one by one.
func (m *metadata) sliding(c *Config, period int) []bool {
	sliding := make([]bool, c.Layers)
	c.Window = m.countOr("attention.sliding_window", maxContext, c.Window)
	if c.Window == 0 {
		return sliding
	}
	const name = "attention.sliding_window_pattern"
	if list := m.flags(name); list != nil {
		if len(list) < c.Layers {
			m.fail("key %q has %d entries for %d layers", m.key(name), len(list), c.Layers)
			return sliding
		}
		return list[:c.Layers]
	}
	period = m.countOr(name, maxLayers, period)
	if m.err != nil {
		return sliding
	}
	for i := range sliding {
		sliding[i] = i%period < period-1
	}
	return sliding
}

// flags reads a list with a truth value for each layer, which writers also store as
// numbers; nil if the key has no list.
func (m *metadata) flags(name string) []bool {
	raw, _ := m.file.Value(m.key(name))
	if list, ok := raw.([]bool); ok {
		return list
	}
	numbers, ok := m.file.Ints(m.key(name))
	if !ok {
		return nil
	}
	list := make([]bool, len(numbers))
	for i, n := range numbers {
		list[i] = n != 0
	}
	return list
}
