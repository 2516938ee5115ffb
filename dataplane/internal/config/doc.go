// Package config holds compiled configuration as plain, immutable structs: no
// protobuf, no runtime state. xds/decode makes them; everything else reads
// them. Factories of extensions are kept as values of the contract that
// consumes them (network.FilterFactory and so on), typed any here because this
// package is below those.
package config
