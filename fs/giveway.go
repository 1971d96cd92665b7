package fs

import "time"

// drainLimit is how long a process that gives way waits for requests that it is
// at, while all others wait. What takes longer the next one is asked again.
const drainLimit = 100 * time.Millisecond

// GiveWay ends what can be ended while the mount goes on, for another process to
// serve it: requests are not answered any more, and uploads are stopped. This
// process has to end then.
func (m *Mount) GiveWay() {
	m.metered.close(drainLimit)
	m.tree.incoming.halt()
	m.cancel()
	m.work.Wait()
}

// An Upkeep is which process serves a mount, and why not another.
type Upkeep struct {
	Version  string  `json:"version"` // of glancefs
	Process  int     `json:"pid"`
	Keeper   int     `json:"keeper_pid"` // 0 if none will follow this process
	Restarts int     `json:"restarts"`   // how many have followed another
	Last     *string `json:"last_cause"` // why, the last time
	Upgrades int     `json:"upgrades"`   // that were asked for
	Refused  *string `json:"upgrade_error"`
}

// SetUpkeep has the mount tell of the processes that serve it.
func (m *Mount) SetUpkeep(u Upkeep) { m.tree.upkeep.Store(&u) }

// halt ends all uploads at once. What they have left at the service the next
// process finds.
func (in *incoming) halt() {
	in.mu.Lock()
	in.stopped, in.left = true, true
	in.mu.Unlock()
	in.endTidy()
	in.cancel(errStopped)
	in.work.Wait()
}
