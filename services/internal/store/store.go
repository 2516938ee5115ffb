package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// Errors that callers act on.
var (
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is one already.
	ErrExists = errors.New("exists already")
)

//go:embed migrations
var migrations embed.FS

// Config says where the store is.
type Config struct {
	// PostgresURL, or the path of a SQLite file; exactly one.
	PostgresURL string
	SQLitePath  string
	// Now is the clock; default time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Store is a database with the current schema.
type Store struct {
	// Set by Open.
	write, read *sql.DB
	postgres    bool
	now         func() time.Time
	// before is called before each statement and each commit; an error stops
	// there. Tests set it, right after Open.
	before func(statement string) error

	rebound sync.Map // statement with ? → with $1
	// relay lets one relay run at a time where there is no advisory lock.
	relay sync.Mutex
}

// Open connects and brings the schema up to date. It waits for a Postgres
// that is not there yet until ctx ends.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if (cfg.PostgresURL == "") == (cfg.SQLitePath == "") {
		return nil, errors.New("store: exactly one of a Postgres URL and a SQLite path is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{now: cfg.Now, postgres: cfg.PostgresURL != ""}
	var err error
	if s.postgres {
		err = s.openPostgres(cfg.PostgresURL)
	} else {
		err = s.openSQLite(cfg.SQLitePath)
	}
	if err != nil {
		return nil, err
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		if err = s.migrate(ctx); err == nil {
			return s, nil
		}
		if !s.postgres || ctx.Err() != nil {
			break
		}
		cfg.Log.Warn("store is not ready", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil, errors.Join(err, s.Close())
}

func (s *Store) openPostgres(address string) error {
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("postgres: %w", err) // pgx leaves the password out
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	// A session whose process died without a word must not hold the lock.
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "15000"
	cfg.RuntimeParams["tcp_keepalives_idle"] = "15"
	cfg.RuntimeParams["application_name"] = "hawser-configapi"
	s.write = stdlib.OpenDB(*cfg)
	s.write.SetMaxOpenConns(20)
	s.write.SetMaxIdleConns(5)
	s.write.SetConnMaxIdleTime(5 * time.Minute)
	s.read = s.write
	return nil
}

func (s *Store) openSQLite(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	name := func(extra string) string {
		return "file:" + (&url.URL{Path: path}).EscapedPath() +
			"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" + extra
	}
	var err error
	// One connection writes, and asks for the lock at the start of a
	// transaction: two that upgrade would refuse each other.
	if s.write, err = sql.Open("sqlite", name("&_txlock=immediate")); err != nil {
		return fmt.Errorf("sqlite %s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", name("&_pragma=query_only(1)")); err != nil {
		return fmt.Errorf("sqlite %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(4)
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	opts := []goose.ProviderOption{goose.WithLogger(goose.NopLogger())}
	if s.postgres {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	provider, err := goose.NewProvider(dialect, s.write, files, opts...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// View runs fn on one consistent state.
func (s *Store) View(ctx context.Context, mesh string, fn func(*Tx) error) error {
	var opts *sql.TxOptions
	if s.postgres {
		opts = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := s.read.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return fn(&Tx{s: s, tx: tx, ctx: ctx, mesh: mesh})
}

// Update runs fn in one transaction that holds the mesh's lock, and commits
// if fn returns nil.
func (s *Store) Update(ctx context.Context, mesh string, fn func(*Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	t := &Tx{s: s, tx: tx, ctx: ctx, mesh: mesh}
	err = t.lock()
	if err == nil {
		err = fn(t)
	}
	if err == nil {
		err = s.step("COMMIT")
	}
	if err != nil {
		_ = tx.Rollback() // the first error is the one that matters
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// lock takes the mesh's row, and makes it if this is the mesh's first write.
func (t *Tx) lock() error {
	if _, err := t.exec("INSERT INTO meshes (mesh, head, state_hash) VALUES (?, 0, '') ON CONFLICT (mesh) DO NOTHING", t.mesh); err != nil {
		return err
	}
	query := "SELECT head FROM meshes WHERE mesh = ?"
	if t.s.postgres {
		query += " FOR UPDATE"
	}
	var head int64
	return t.row(query, t.mesh).Scan(&head)
}

// Tx is a transaction on one mesh. Only the goroutine that fn runs on may
// use it, and only until fn returns.
type Tx struct {
	s    *Store
	tx   *sql.Tx
	ctx  context.Context
	mesh string
}

func (s *Store) step(statement string) error {
	if s.before == nil {
		return nil
	}
	return s.before(statement)
}

// bind turns ? into $1, $2, ... for Postgres.
func (s *Store) bind(query string) string {
	if !s.postgres {
		return query
	}
	if bound, ok := s.rebound.Load(query); ok {
		return bound.(string)
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	// Statements with many rows are as many as there are lengths.
	if len(query) < 1000 {
		s.rebound.Store(query, b.String())
	}
	return b.String()
}

func (t *Tx) exec(query string, args ...any) (int64, error) {
	if err := t.s.step(query); err != nil {
		return 0, err
	}
	result, err := t.tx.ExecContext(t.ctx, t.s.bind(query), args...)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	return n, nil
}

type row struct {
	row *sql.Row
	err error
}

func (r row) Scan(to ...any) error {
	if r.err != nil {
		return r.err
	}
	err := r.row.Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (t *Tx) row(query string, args ...any) row {
	if err := t.s.step(query); err != nil {
		return row{err: err}
	}
	return row{row: t.tx.QueryRowContext(t.ctx, t.s.bind(query), args...)}
}

// each runs a query and calls scan for each row. scan must not use the Tx.
func (t *Tx) each(scan func(func(...any) error) error, query string, args ...any) error {
	if err := t.s.step(query); err != nil {
		return err
	}
	rows, err := t.tx.QueryContext(t.ctx, t.s.bind(query), args...)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// chunk is how many rows go into one statement. SQLite allows 32766 values.
const chunk = 256

// insert writes rows of equal length by as few statements as can be.
func (t *Tx) insert(into, suffix string, rows [][]any) error {
	for len(rows) > 0 {
		n := min(len(rows), chunk)
		var b strings.Builder
		b.WriteString(into + " VALUES ")
		var args []any
		for i, r := range rows[:n] {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("(?" + strings.Repeat(", ?", len(r)-1) + ")")
			args = append(args, r...)
		}
		if _, err := t.exec(b.String()+" "+suffix, args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
