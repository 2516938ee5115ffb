-- The same as for Postgres, in the types of SQLite.
-- +goose Up
CREATE TABLE meshes (
  mesh TEXT PRIMARY KEY,
  head BIGINT NOT NULL,
  state_hash TEXT NOT NULL
);
CREATE TABLE resources (
  mesh TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  revision BIGINT NOT NULL,
  etag TEXT NOT NULL,
  claim TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (mesh, kind, namespace, name)
);
CREATE INDEX resources_claim ON resources (mesh, claim) WHERE claim <> '';
CREATE TABLE links (
  mesh TEXT NOT NULL,
  from_kind TEXT NOT NULL, from_namespace TEXT NOT NULL, from_name TEXT NOT NULL,
  to_kind TEXT NOT NULL, to_namespace TEXT NOT NULL, to_name TEXT NOT NULL,
  PRIMARY KEY (mesh, from_kind, from_namespace, from_name, to_kind, to_namespace, to_name)
);
CREATE INDEX links_to ON links (mesh, to_kind, to_namespace, to_name);
CREATE TABLE revisions (
  mesh TEXT NOT NULL,
  revision BIGINT NOT NULL,
  created_us BIGINT NOT NULL,
  author TEXT NOT NULL, managed_by TEXT NOT NULL, message TEXT NOT NULL,
  state_hash TEXT NOT NULL,
  changes BIGINT NOT NULL,
  PRIMARY KEY (mesh, revision)
);
CREATE TABLE history (
  mesh TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  revision BIGINT NOT NULL,
  action BIGINT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (mesh, kind, namespace, name, revision)
);
CREATE INDEX history_revision ON history (mesh, revision);
CREATE TABLE outbox (
  mesh TEXT NOT NULL,
  revision BIGINT NOT NULL,
  PRIMARY KEY (mesh, revision)
);
CREATE TABLE leases (
  mesh TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  expires_us BIGINT NOT NULL,
  ttl_us BIGINT NOT NULL,
  PRIMARY KEY (mesh, namespace, name)
);
CREATE INDEX leases_expiry ON leases (mesh, expires_us);
CREATE TABLE tokens (
  mesh TEXT NOT NULL, name TEXT NOT NULL,
  id TEXT NOT NULL,
  hash BLOB NOT NULL,
  role TEXT NOT NULL,
  namespaces TEXT NOT NULL,
  created_us BIGINT NOT NULL,
  expires_us BIGINT NOT NULL,
  revoked_us BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  PRIMARY KEY (mesh, name)
);
CREATE UNIQUE INDEX tokens_id ON tokens (mesh, id);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  mesh TEXT NOT NULL,
  time_us BIGINT NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX audit_mesh ON audit (mesh, id);

-- +goose Down
DROP TABLE audit;
DROP TABLE tokens;
DROP TABLE leases;
DROP TABLE outbox;
DROP TABLE history;
DROP TABLE revisions;
DROP TABLE links;
DROP TABLE resources;
DROP TABLE meshes;
