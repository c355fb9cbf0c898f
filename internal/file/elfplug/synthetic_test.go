package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A synthetic is a small ELF file to be written: what Inspect looks at, in the
// layout of GNU ld, with the section headers at the end.
type synthetic struct {
	class   elf.Class
	order   binary.ByteOrder
	osabi   elf.OSABI
	kind    elf.Type
	machine elf.Machine
	interp  bool

	version  string // none if empty
	modinfo  string
	hashes   map[string]string // import path to 8 bytes
	hashAt   uint64            // added to the address of each hash
	funcs    []string          // names of defined functions
	objects  []string
	wanted   []string // names of undefined functions
	noDynsym bool
}

// modinfo writes build information as the go command does.
func modinfo(path string, settings ...string) string {
	var b strings.Builder
	b.WriteString("0w\xaf\f\x92t\b\x02A\xe1\xc1\a\xe6\xd6\x18\xe6path\t" + path + "\nmod\texample.com/h\t(devel)\t\n")
	b.WriteString("dep\texample.com/lib\tv1.2.3\th1:sum=\n")
	for _, s := range settings {
		b.WriteString("build\t" + s + "\n")
	}
	b.WriteString("\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2")
	return b.String()
}

// goodPlugin is what go build -buildmode=plugin makes, in small.
func goodPlugin() synthetic {
	s := synthetic{
		class: elf.ELFCLASS64, order: binary.LittleEndian, kind: elf.ET_DYN, machine: elf.EM_X86_64,
		version: "go1.26.8",
		modinfo: modinfo("example.com/h/v1.x", "-buildmode=plugin", "GOARCH=amd64", "GOAMD64=v1"),
		hashes:  map[string]string{"runtime": "rrrrrrrr", "strings": "ssssssss", "example.com/h/v1.x": "hhhhhhhh"},
		funcs: []string{"runtime.main", "example.com/h/v1%2ex.main", "example.com/h/v1%2ex.Handler", "example.com/h/v1%2ex.Start",
			"example.com/h/v1%2ex.Handler.func1", "example.com/h/v1%2ex.Handler·f", "example.com/h/v1%2ex.Gen[int]",
			"example.com/h/v1%2ex.T.M", "example.com/h/v1%2ex.(*T).N", "example.com/h/v1%2ex.lower"},
		objects: []string{"example.com/h/v1%2ex.Var", "example.com/h/v1%2ex..inittask"},
		wanted:  []string{"abort", "example.com/h/v1%2ex.Elsewhere"},
	}
	for _, a := range arches { // so that the tests hold on any of them
		if a.goarch == runtime.GOARCH {
			s.machine, s.class, s.order = a.machine, a.class, a.order
		}
	}
	return s
}

// bytes writes the file.
func (s synthetic) bytes() []byte {
	const base = 0x10000 // the address of offset 0
	type sec struct {
		name    string
		kind    elf.SectionType
		link    uint32
		content []byte
	}
	var rodata, strtab, dynsym, info []byte
	strtab = append(strtab, 0)
	headSize, phSize, shSize := 64, 56, 64
	if s.class == elf.ELFCLASS32 {
		headSize, phSize, shSize = 52, 32, 40
	}
	rodataOff := headSize + phSize
	symbol := func(name string, kind elf.SymType, shndx uint16, value, size uint64) {
		var err error
		st := elf.ST_INFO(elf.STB_GLOBAL, kind)
		if s.class == elf.ELFCLASS32 {
			dynsym, err = binary.Append(dynsym, s.order, elf.Sym32{Name: uint32(len(strtab)), Info: st, Shndx: shndx, Value: uint32(value), Size: uint32(size)})
		} else {
			dynsym, err = binary.Append(dynsym, s.order, elf.Sym64{Name: uint32(len(strtab)), Info: st, Shndx: shndx, Value: value, Size: size})
		}
		if err != nil {
			panic(err)
		}
		strtab = append(append(strtab, name...), 0)
	}
	symbol("", elf.STT_NOTYPE, 0, 0, 0)
	for _, pkg := range slices.Sorted(maps.Keys(s.hashes)) {
		hash := s.hashes[pkg]
		symbol(hashPrefix+pkg, elf.STT_OBJECT, 1, base+uint64(rodataOff+len(rodata))+s.hashAt, uint64(len(hash)))
		rodata = append(rodata, hash...)
	}
	for _, f := range s.funcs {
		symbol(f, elf.STT_FUNC, 1, base, 1)
	}
	for _, o := range s.objects {
		symbol(o, elf.STT_OBJECT, 1, base+uint64(rodataOff), 8)
	}
	for _, w := range s.wanted {
		symbol(w, elf.STT_FUNC, 0, 0, 0)
	}
	if s.version != "" {
		info = append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 16)...)
		info = append(binary.AppendUvarint(info, uint64(len(s.version))), s.version...)
		info = append(binary.AppendUvarint(info, uint64(len(s.modinfo))), s.modinfo...)
	}
	secs := []sec{{kind: elf.SHT_NULL}, {".rodata", elf.SHT_PROGBITS, 0, rodata}, {".dynstr", elf.SHT_STRTAB, 0, strtab}}
	if !s.noDynsym {
		secs = append(secs, sec{".dynsym", elf.SHT_DYNSYM, 2, dynsym})
	}
	if info != nil {
		secs = append(secs, sec{".go.buildinfo", elf.SHT_PROGBITS, 0, info})
	}
	secs = append(secs, sec{".bss", elf.SHT_NOBITS, 0, nil}, sec{".shstrtab", elf.SHT_STRTAB, 0, nil})
	names := []byte{0}
	var nameOff []uint32
	for _, x := range secs {
		nameOff = append(nameOff, uint32(len(names)))
		names = append(append(names, x.name...), 0)
	}
	nameOff[0] = 0
	secs[len(secs)-1].content = names

	var body, table []byte
	for i, x := range secs {
		off := uint64(rodataOff + len(body))
		size := uint64(len(x.content))
		if x.kind == elf.SHT_NOBITS {
			size = 1 << 30
		}
		if x.kind == elf.SHT_NULL {
			off = 0
		}
		h := elf.Section64{Name: nameOff[i], Type: uint32(x.kind), Link: x.link, Addr: base + off, Off: off, Size: size, Addralign: 1}
		var err error
		if s.class == elf.ELFCLASS32 {
			table, err = binary.Append(table, s.order, elf.Section32{Name: h.Name, Type: h.Type, Link: h.Link,
				Addr: uint32(h.Addr), Off: uint32(h.Off), Size: uint32(h.Size), Addralign: 1})
		} else {
			table, err = binary.Append(table, s.order, h)
		}
		if err != nil {
			panic(err)
		}
		body = append(body, x.content...)
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(s.class), byte(elf.ELFDATA2LSB), 1, byte(s.osabi)}
	if s.order == binary.ByteOrder(binary.BigEndian) {
		ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	segment := elf.PT_LOAD
	if s.interp {
		segment = elf.PT_INTERP
	}
	var out []byte
	var err error
	shoff := rodataOff + len(body)
	if s.class == elf.ELFCLASS32 {
		out, err = binary.Append(out, s.order, elf.Header32{Ident: ident, Type: uint16(s.kind), Machine: uint16(s.machine), Phoff: 52, Shoff: uint32(shoff),
			Phentsize: 32, Phnum: 1, Shentsize: uint16(shSize), Shnum: uint16(len(secs)), Shstrndx: uint16(len(secs) - 1)})
		if err == nil {
			out, err = binary.Append(out, s.order, elf.Prog32{Type: uint32(segment), Filesz: uint32(shoff)})
		}
	} else {
		out, err = binary.Append(out, s.order, elf.Header64{Ident: ident, Type: uint16(s.kind), Machine: uint16(s.machine), Phoff: 64, Shoff: uint64(shoff),
			Phentsize: 56, Phnum: 1, Shentsize: uint16(shSize), Shnum: uint16(len(secs)), Shstrndx: uint16(len(secs) - 1)})
		if err == nil {
			out, err = binary.Append(out, s.order, elf.Prog64{Type: uint32(segment), Filesz: uint64(shoff)})
		}
	}
	if err != nil {
		panic(err)
	}
	return append(append(out, body...), table...)
}

func inspectBytes(b []byte) (*Info, error) { return Inspect(bytes.NewReader(b), int64(len(b))) }

// variants are files of every class and order, for the tests that read only
// headers.
func variants() map[string][]byte {
	out := map[string][]byte{}
	for name, change := range map[string]func(*synthetic){
		"elf64le": func(s *synthetic) { s.class, s.order = elf.ELFCLASS64, binary.LittleEndian },
		"elf64be": func(s *synthetic) { s.class, s.order = elf.ELFCLASS64, binary.BigEndian },
		"elf32le": func(s *synthetic) { s.class, s.order = elf.ELFCLASS32, binary.LittleEndian },
		"elf32be": func(s *synthetic) { s.class, s.order = elf.ELFCLASS32, binary.BigEndian },
	} {
		s := goodPlugin()
		change(&s)
		out[name] = s.bytes()
	}
	return out
}

// goodCell is a program that loads plugins, in small.
func goodCell() synthetic {
	s := goodPlugin()
	s.kind, s.interp = elf.ET_DYN, true
	s.objects = append(s.objects, sourceSymbol, protocolSymbols[0]+"s")
	return s
}

// A cell's variables are found by their whole name, and have their size.
func TestCellVariables(t *testing.T) {
	s := goodCell()
	read := func() *Info {
		b := s.bytes()
		im, err := outline(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		info, err := im.cell()
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	// A synthetic file's variables are of 8 bytes and lie on its first hash.
	if info := read(); info.Protocol != 0 || info.Source != "6868686868686868" {
		t.Errorf("protocol %d, source %q", info.Protocol, info.Source)
	}
	s.objects = append(s.objects, protocolSymbols[0])
	if info := read(); info.Protocol != 0 {
		t.Errorf("protocol %d of 8 bytes", info.Protocol)
	}
}

// A cell that an earlier version has built, and that was kept, still says what it
// speaks.
func TestProtocolOfAnEarlierCell(t *testing.T) {
	for _, have := range []string{
		"github.com/andrestc/go-plugserver/internal/link.protocol", "github.com/andrestc/go-plugserver/internal/between/link.protocol",
	} {
		got, err := protocol(binary.LittleEndian, func(symbol string, size uint64) ([]byte, error) {
			if symbol == have && size == 4 {
				return []byte{7, 0, 0, 0}, nil
			}
			return nil, nil
		})
		if err != nil || got != 7 {
			t.Errorf("%s: %d, %v", have, got, err)
		}
	}
}

// FuzzInspect holds for any bytes: no panic, an incomplete file is refused as
// such, whatever is refused is a refusal in one printable line, and whatever
// is accepted can be compared.
func FuzzInspect(f *testing.F) {
	for _, b := range variants() {
		f.Add(b)
	}
	for _, c := range refusedFiles() {
		f.Add(c.file)
	}
	f.Add(goodCell().bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		complete, need, err := Complete(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("Complete of readable bytes: %v", err)
		}
		if need < 0 {
			t.Fatalf("need = %d", need)
		}
		if im, err := outline(bytes.NewReader(b), int64(len(b))); err == nil {
			if info, err := im.cell(); err == nil && info.PkgHashes.Len() == 0 {
				t.Fatalf("inspected without essentials: %+v", info)
			}
		}
		info, err := inspectBytes(b)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if !complete {
			t.Fatal("an incomplete file was inspected")
		}
		if info.GoVersion == "" || info.PluginPath == "" || info.PkgHashes.Len() == 0 {
			t.Fatalf("inspected without essentials: %+v", info)
		}
		if r := info.Contract(); r != nil {
			checkRefusal(t, r)
		}
		none := func(string) []string { return nil }
		if r := compatible(info, info, none); r != nil {
			t.Fatalf("not compatible with itself: %v", r)
		}
		cell := &Info{GoVersion: info.GoVersion, PkgHashes: HashesOf(map[string]string{"runtime": "00", "strings": "00"})}
		if r := compatible(info, cell, none); r != nil {
			checkRefusal(t, r)
		}
		if r := compatible(info, &Info{GoVersion: "go1.0"}, none); r != nil {
			checkRefusal(t, r)
		}
	})
}
