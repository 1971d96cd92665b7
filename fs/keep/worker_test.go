package keep

import (
	"io"
	"os"
	"testing"
)

// TestSendToEnded tells workers something while they end. It tells with -race.
func TestSendToEnded(t *testing.T) {
	program, err := os.Open("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for range 20 {
		w, err := startWorker(program, nil, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		w.watch(func(Message) {}, func(*os.ProcessState) { close(ended) })
		for sending := true; sending; {
			w.send(Message{State: Told})
			select {
			case <-ended:
				sending = false
			default:
			}
		}
	}
}
