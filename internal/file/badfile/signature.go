package badfile

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// sign is the fix where a file wants a signature.
const sign = "have whoever has a key of [Trust] sign it, plugserverctl sign NAME.so, and put NAME.so.minisig beside it"

// Unsigned refuses a file that has no signature, where [Trust] requires one.
func Unsigned() *refusal.Error {
	return &refusal.Error{Reason: "not signed: there is no signature (.minisig) beside it, and [Trust] has Require=yes", Mend: sign}
}

// UnsignedSource refuses source where [Trust] requires signatures: what runs is what a
// compiler makes of it here, which nobody has signed.
func UnsignedSource() *refusal.Error {
	return &refusal.Error{
		Reason: "source is not signed, and [Trust] has Require=yes",
		Mend:   "build it with plugserverctl build, have that signed, plugserverctl sign NAME.so, and install both in the place of the source",
	}
}

// NoSignature refuses a file whose signature is none; why may quote it.
func NoSignature(why string) *refusal.Error {
	return &refusal.Error{Reason: "its signature (.minisig) is none of minisign's: " + words.Quote(why), Mend: sign}
}

// LegacySignature refuses a file whose signature is of minisign's former format.
func LegacySignature() *refusal.Error {
	return &refusal.Error{
		Reason: "its signature (.minisig) is of minisign's former format, which signs no hash",
		Mend:   "sign it again, without -l: minisign -S -m NAME.so, or plugserverctl sign NAME.so",
	}
}

// ForeignKey refuses a file that was signed with a key that is not believed.
func ForeignKey(id string) *refusal.Error {
	return &refusal.Error{
		Reason: "signed with the key " + id + ", which is none of [Trust]",
		Mend:   sign,
		Or:     []string{"name that key, if it is to be trusted with every handler: PublicKey= in [Trust] of plugserverd.conf, then plugserverctl reload"},
	}
}

// RevokedKey refuses a file that was signed with a key that is not believed any more.
func RevokedKey(id string) *refusal.Error {
	return &refusal.Error{Reason: "signed with the key " + id + ", which RevokedKey= in [Trust] has revoked", Mend: sign}
}

// Altered refuses a file that is not what was signed.
func Altered(id string) *refusal.Error {
	return &refusal.Error{
		Reason: "not what was signed with the key " + id + ": it, or its signature (.minisig), is another or was altered",
		Mend:   "copy both again from where they were signed: plugserverctl verify NAME.so tells there whether they belong together",
	}
}

// OtherHandler refuses a file that was signed for another handler.
func OtherHandler(signed, handler string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("signed for the handler %s, not for %s", words.Quote(signed), words.Quote(handler)),
		Mend:   fmt.Sprintf("rename both files to %s, or have it signed for this one: plugserverctl sign --handler %s NAME.so", words.Shell(signed+".so"), words.Shell(handler)),
	}
}

// Unordered refuses a file whose signature does not say what it is newer than.
func Unordered() *refusal.Error {
	return &refusal.Error{
		Reason: "its signature does not say which handler and version it is of, and [Trust] has Monotonic=yes",
		Mend:   "have it signed again, plugserverctl sign NAME.so, which says both, or: minisign -S -m NAME.so -t 'timestamp:SECONDS handler:HANDLER version:NUMBER'",
	}
}

// Replayed refuses a file that is older than one that was served. Both say which they are.
func Replayed(have, newest string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("older than what was served: it is %s, and there was %s", have, newest),
		Mend:   "copy the newest, or go back to a version that was served with plugserverctl rollback, which [Trust] allows",
		Or:     []string{"have it signed anew, with a version that is not below that: plugserverctl sign NAME.so"},
	}
}
