package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fuseConf is where fusermount3(1) looks whether users may let others in.
const fuseConf = "/etc/fuse.conf"

// mayAdmin reports whether this process has CAP_SYS_ADMIN, which the kernel wants
// for passthrough and for mounts without fusermount3.
func mayAdmin() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// checkAllowOther says why a user may not let others in, in words that fusermount3
// has not.
func checkAllowOther() error {
	if mayAdmin() {
		return nil
	}
	text, _ := os.ReadFile(fuseConf) // none is as good as an empty one
	for line := range bytes.Lines(text) {
		if string(bytes.TrimSpace(line)) == "user_allow_other" {
			return nil
		}
	}
	return fmt.Errorf("letting other users in, without being root, takes a line user_allow_other in %s", fuseConf)
}

// lacks is what a mount at dir, which it makes the most of, goes without.
func lacks(dir string) (all []string) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return []string{"limits unknown: " + err.Error()}
	}
	if !mayAdmin() {
		all = append(all, "no passthrough of complete images")
	}
	if err := boundReadAhead(st.Dev); err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		all = append(all, fmt.Sprintf("kernel read-ahead as it is, so a little more is fetched than is read (%v)", err))
	}
	limit, _ := os.ReadFile("/sys/module/fuse/parameters/max_user_bgreq")
	if n, err := strconv.Atoi(strings.TrimSpace(string(limit))); err == nil && n < background && !mayAdmin() {
		all = append(all, fmt.Sprintf("%d reads at a time instead of %d", n, background))
	}
	return all
}

// boundReadAhead makes the kernel read less ahead on a mount, which root may.
func boundReadAhead(dev uint64) error {
	file := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(dev), unix.Minor(dev))
	return os.WriteFile(file, fmt.Appendln(nil, readAhead), 0)
}
