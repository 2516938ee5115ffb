// Package layercheck keeps the import rules of the repository, each with its
// reason. The test in this package applies them to the tree; `make lint` runs
// it.
package layercheck
