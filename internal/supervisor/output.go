package supervisor

import "github.com/sirupsen/logrus"

// fields are those of a log record about a cell.
func (s *Supervisor) fields(c *cell) logrus.Fields {
	if c.proc != nil {
		return c.proc.Fields("")
	}
	return c.fields("")
}

// seatFields are those of one handler of a cell.
func (s *Supervisor) seatFields(st *seat) logrus.Fields {
	if st.proc != nil {
		return st.proc.Fields(st.name)
	}
	return st.fields(st.name)
}

// fields tells of a cell, or of the plugin of that name in it, what is known
// without its process.
func (c *cell) fields(plugin string) logrus.Fields {
	f := logrus.Fields{"handler": c.name}
	if c.group != nil {
		f["group"] = c.name
	}
	for _, st := range c.seats {
		if st.name == plugin || c.group == nil {
			f["handler"], f["version"] = st.name, st.part.Version.Short()
		}
	}
	return f
}
