package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// arches are the platforms that plugins exist for (go tool dist list and
// internal/platform, BuildModeSupported), by what their ELF header says.
var arches = []struct {
	goarch  string
	machine elf.Machine
	class   elf.Class
	order   binary.ByteOrder
}{
	{"amd64", elf.EM_X86_64, elf.ELFCLASS64, binary.LittleEndian},
	{"arm64", elf.EM_AARCH64, elf.ELFCLASS64, binary.LittleEndian},
	{"386", elf.EM_386, elf.ELFCLASS32, binary.LittleEndian},
	{"arm", elf.EM_ARM, elf.ELFCLASS32, binary.LittleEndian},
	{"loong64", elf.EM_LOONGARCH, elf.ELFCLASS64, binary.LittleEndian},
	{"ppc64", elf.EM_PPC64, elf.ELFCLASS64, binary.BigEndian},
	{"ppc64le", elf.EM_PPC64, elf.ELFCLASS64, binary.LittleEndian},
	{"riscv64", elf.EM_RISCV, elf.ELFCLASS64, binary.LittleEndian},
	{"s390x", elf.EM_S390, elf.ELFCLASS64, binary.BigEndian},
}

// platform names what the image runs on as Go does, such as "linux/arm64".
func (im *image) platform() string {
	goos := "linux"
	switch im.osabi {
	case elf.ELFOSABI_NONE, elf.ELFOSABI_LINUX:
	case elf.ELFOSABI_FREEBSD:
		goos = "freebsd"
	case elf.ELFOSABI_NETBSD:
		goos = "netbsd"
	case elf.ELFOSABI_OPENBSD:
		goos = "openbsd"
	case elf.ELFOSABI_SOLARIS:
		goos = "solaris"
	default:
		goos = im.osabi.String()
	}
	for _, a := range arches {
		if im.machine == a.machine && im.class == a.class && im.order == a.order {
			return goos + "/" + a.goarch
		}
	}
	return fmt.Sprintf("%s/%v (%v, %v)", goos, im.machine, im.class, im.order)
}

// foreign guesses what a file is that is no ELF file.
func foreign(head []byte) string {
	for _, k := range []struct{ magic, kind string }{
		{"\xcf\xfa\xed\xfe", "a macOS binary"},
		{"\xca\xfe\xba\xbe", "a macOS binary"},
		{"MZ", "a Windows binary"},
		{"!<arch>\n", "an archive, as go build -buildmode=archive writes it"},
		{"#!", "a script"},
		{"package ", "Go source"},
		{"\x1f\x8b", "a gzip file"},
		{"PK\x03\x04", "a zip file"},
		{"version https://git-lfs", "a Git LFS pointer"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.kind
		}
	}
	return ""
}
