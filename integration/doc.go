// Package integration tests the built glancefs binary: each test mounts it and
// uses the mount as users do, with the shell's programs, against Debian's real
// Glance and Keystone. It holds tests only, and no test here looks inside
// glancefs; what a package promises to its callers is tested in that package.
//
// install.sh installs what the tests need; glance.sh and keystone.sh run the
// two servers, and may be used by hand:
//
//	sh integration/install.sh
//	sh integration/glance.sh norange /tmp/glance 9292 &
//	glancefs mount --endpoint http://127.0.0.1:9292 /mnt
//
// The tests need root, /dev/fuse and Debian 12. Elsewhere, and as another user,
// they are skipped, or fail when the variable CI is set. GLANCEFS_RACE=1 tests
// a binary built with the race detector.
//
// Everything runs in a mount namespace and a process namespace of its own, so
// whatever way the run ends - passed, failed, timed out, killed - the kernel
// ends its processes and its mounts with it. A program that touches a mount is
// always a child process with a deadline, never the test process itself: a
// mount that hangs fails its test and no other.
//
// BenchmarkRead measures glancefs against other tools (make bench), TestSoak goes
// on for as long as it is told (make soak), and TestVM boots virtual machines
// (make vm).
//
// Scripts in testdata are testscript scripts (a line is a command that must
// succeed, or with "!" must fail); script_test.go says which commands they have
// beyond those of testscript. Plays in testdata/docs have every command of the
// README, of docs and of the manual page; docs_play_test.go says how they are
// read. fresh.sh (make fresh) runs all tests on a Debian that has nothing yet.
package integration
