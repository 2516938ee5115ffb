package bus

import (
	"fmt"
	"regexp"
	"time"
)

const (
	// StreamRevisions holds the RevisionEvents of all meshes.
	StreamRevisions = "HAWSER_REVISIONS"
	// streamSubjects of StreamRevisions.
	streamSubjects = "hawser.v1.*.revision"

	// MaxEventBytes keeps events under the server's default max_payload of
	// 1 MiB, headers included.
	MaxEventBytes = 960 << 10

	// A consumer that was away for longer reads the range from the config API.
	maxAge = 24 * time.Hour
	// Bounds the disk that the stream takes.
	maxStreamBytes = 1 << 30
	// A relay that dies between publishing and marking is replaced by then.
	duplicateWindow = 10 * time.Minute
)

// RevisionSubject carries the RevisionEvents of a mesh.
func RevisionSubject(mesh string) string { return "hawser.v1." + mesh + ".revision" }

// RolloutSubject carries the RolloutEvents of a mesh, on core NATS.
func RolloutSubject(mesh string) string { return "hawser.v1." + mesh + ".rollout" }

// MessageID is the Nats-Msg-Id of a revision event.
func MessageID(mesh string, revision int64) string { return fmt.Sprintf("%s/%d", mesh, revision) }

// ValidMesh tells whether a name can be a mesh's: it is one token of a subject.
func ValidMesh(name string) bool {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`).MatchString(name)
}
