// Package event names what operators act on. Whoever logs such an event puts it into
// the field "event" of the record; systemd's journal gets its MESSAGE_ID, by which
// the message catalog explains it (packaging/systemd/plugserver.catalog). None is ever
// renamed or given another ID: people's filters know them.
package event

// Event is one of the constants.
type Event string

const (
	Live          Event = "live"
	Gathered      Event = "gathered"
	Retired       Event = "retired"
	Refused       Event = "refused"
	Crashed       Event = "crashed"
	RolledBack    Event = "rolled_back"
	Quarantined   Event = "quarantined"
	InotifyLost   Event = "inotify_lost"
	GateDied      Event = "gate_died"
	DirectoryLost Event = "directory_lost"

	CanaryBegun     Event = "canary_begun"
	CanaryPromoted  Event = "canary_promoted"
	CanaryWithdrawn Event = "canary_withdrawn"

	CertificateExpires  Event = "certificate_expires"
	CertificateObtained Event = "certificate_obtained"
	CertificateRenewed  Event = "certificate_renewed"
	CertificateFailed   Event = "certificate_failed"
)

// Field is the log field that holds an event.
const Field = "event"

// messageIDs are 128 random bits each, in hex.
var messageIDs = map[Event]string{
	Live:          "8cf626d838f04361a39cd8e89bd93f7c",
	Gathered:      "9db9006c97a2ac3aa3d0c9249a4c2956",
	Retired:       "4402bf77977d462e9ace80c3a597b2e6",
	Refused:       "fb623eebf0ba4e8a99b194ab4ff590e0",
	Crashed:       "9f7988028fe849998939fdd89b79c6d0",
	RolledBack:    "cbeb742bd19c4ab389a7dcb1f0eceb3f",
	Quarantined:   "bd952ef258c34f79b92aa2522528dec0",
	InotifyLost:   "0abcbf4d387a43ddaad57afa9d34602f",
	GateDied:      "3519d0ea626a4b278f5a838fd8081555",
	DirectoryLost: "d9bfdfd7e4584e1caa0c6c1a81f55444",

	CanaryBegun:     "2235dcaa04ead82794e793892b08211a",
	CanaryPromoted:  "8b63fe0b04d77dd5cce4b23523b57cf6",
	CanaryWithdrawn: "7951740010dafcbe87adf40d04c07f76",

	CertificateExpires:  "3a16145eb41b0b9c48b4ab64c2daf14d",
	CertificateObtained: "81e138e50281cf07696b74126fbb5941",
	CertificateRenewed:  "9c73ff2314fca0b9c93cd6c9be97e38c",
	CertificateFailed:   "ddb9bd4ce1f968388aed960b57c2dc2e",
}

// MessageID is the event's MESSAGE_ID (systemd.journal-fields(7)), "" for what is no
// event.
func (e Event) MessageID() string { return messageIDs[e] }

// All returns every event, in no order.
func All() (all []Event) {
	for e := range messageIDs {
		all = append(all, e)
	}
	return all
}
