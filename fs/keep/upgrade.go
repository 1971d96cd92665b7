package keep

import "os"

// upgrade prepares a worker of what is at the program's path now. While another is
// just going on with the mount, or prepared for that, it waits: there may be a newer
// program by now than that one is.
func (k *keeper) upgrade() {
	if k.lasting && (k.serving == nil || k.heir != nil) {
		k.wanted = true
		return
	}
	k.wanted = false
	k.history.Upgrades++
	k.history.Refused = ""
	if !k.lasting {
		k.refuse("no other process can go on with this mount")
		return
	}
	program, err := os.Open(k.Program)
	if err != nil {
		k.refuse(err.Error())
		return
	}
	k.replaces, k.program = k.program, program
	if err := k.start(true); err != nil {
		k.failed(err.Error())
	}
}

// failed goes back from an upgrade that came to nothing, if the worker that did not
// get so far was of one.
func (k *keeper) failed(why string) {
	if k.replaces == nil {
		return
	}
	k.program.Close()
	k.program, k.replaces = k.replaces, nil
	k.refuse(why)
	if k.wanted && k.serving != nil {
		k.upgrade()
	}
}

// refuse tells why an upgrade came to nothing.
func (k *keeper) refuse(why string) {
	k.Log.Error("not upgraded; what ran before goes on", "cause", why)
	k.history.Refused = why
	if k.serving != nil {
		k.serving.send(Message{State: Told, History: &k.history})
	}
}
