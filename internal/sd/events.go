package sd

// The MESSAGE_ID of each event that an operator acts on, 128 random bits in
// hex. They never change: people's filters and the message catalog
// (packaging/systemd/plugserver.catalog) know them.
const (
	MessageLive          = "8cf626d838f04361a39cd8e89bd93f7c"
	MessageRetired       = "4402bf77977d462e9ace80c3a597b2e6"
	MessageRefused       = "fb623eebf0ba4e8a99b194ab4ff590e0"
	MessageCrashed       = "9f7988028fe849998939fdd89b79c6d0"
	MessageRolledBack    = "cbeb742bd19c4ab389a7dcb1f0eceb3f"
	MessageQuarantined   = "bd952ef258c34f79b92aa2522528dec0"
	MessageInotifyLost   = "0abcbf4d387a43ddaad57afa9d34602f"
	MessageGateDied      = "3519d0ea626a4b278f5a838fd8081555"
	MessageDirectoryLost = "d9bfdfd7e4584e1caa0c6c1a81f55444"
)

// messageIDs is keyed by the values of the log field "event".
var messageIDs = map[string]string{
	"live":           MessageLive,
	"retired":        MessageRetired,
	"refused":        MessageRefused,
	"crashed":        MessageCrashed,
	"rolled_back":    MessageRolledBack,
	"quarantined":    MessageQuarantined,
	"inotify_lost":   MessageInotifyLost,
	"gate_died":      MessageGateDied,
	"directory_lost": MessageDirectoryLost,
}
