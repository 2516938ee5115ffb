// Package settings reads a program's configuration: a YAML file, strictly
// (an unknown key is an error), then environment variables over it. Each
// field can be set by the variable that is named as its path: with the
// prefix HAWSER_CONFIGAPI, store.postgresUrl is
// HAWSER_CONFIGAPI_STORE_POSTGRES_URL. A variable with the prefix that names
// no field is an error too.
package settings
