// The SQLite file behind the embedded store: opened, locked for this process alone, checked, its schema made. WAL with
// synchronous=FULL: a commit returns when it is on the disk. The exclusive lock also keeps a second control plane out;
// the system drops it with the process, so a crash leaves nothing to clean up.
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../store.ts';

/** "hedl": tells our file from any other SQLite database. */
const APPLICATION_ID = 0x6865646c;
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, compacted INTEGER NOT NULL, next_lease INTEGER NOT NULL) STRICT;
  INSERT INTO meta VALUES (1, 0, 0, 1);
  CREATE TABLE entries (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,
    version INTEGER NOT NULL, lease TEXT) STRICT, WITHOUT ROWID;
  CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
  CREATE TABLE leases (id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE history (
    revision INTEGER NOT NULL, place INTEGER NOT NULL, key TEXT NOT NULL, value TEXT, create_revision INTEGER NOT NULL,
    version INTEGER NOT NULL, lease TEXT, expired INTEGER NOT NULL, PRIMARY KEY (revision, place)) STRICT, WITHOUT ROWID;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** Opens or makes the database. `path` undefined: in memory. Throws StoreError UNAVAILABLE that says what to do. */
export function openDatabase(path: string | undefined): DatabaseSync {
  const place = path ?? 'in memory';
  let database: DatabaseSync | undefined;
  try {
    // Made by ourselves first, so that it is never readable by others, not even for a moment.
    if (path !== undefined) closeSync(openSync(path, 'a', 0o600));
    database = new DatabaseSync(path ?? ':memory:', { timeout: 0 });
    if (path !== undefined) database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    prepareSchema(database, place);
    checkIntegrity(database, place);
    return database;
  } catch (error) {
    database?.close();
    throw translate(error, place);
  }
}

function prepareSchema(database: DatabaseSync, place: string): void {
  const version = pragma(database, 'user_version');
  const application = pragma(database, 'application_id');
  const tables = Number(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
  if (version === 0 && application === 0 && tables === 0) {
    database.exec(`BEGIN EXCLUSIVE; ${SCHEMA} COMMIT;`);
    return;
  }
  if (application !== APPLICATION_ID) {
    throw new StoreError('UNAVAILABLE', `${place} is an SQLite database of another program; choose another state directory`);
  }
  if (version !== SCHEMA_VERSION) {
    throw new StoreError(
      'UNAVAILABLE',
      `${place} has schema version ${version}, this Heddle knows version ${SCHEMA_VERSION}; use the Heddle that wrote it, or another state directory`,
    );
  }
  // Takes the lock now, also when nothing will be written for a long time.
  database.exec('BEGIN EXCLUSIVE; UPDATE meta SET revision = revision WHERE id = 1; COMMIT;');
}

function checkIntegrity(database: DatabaseSync, place: string): void {
  const verdict = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (verdict !== 'ok') throw damaged(place, String(verdict));
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function damaged(place: string, reason: string, cause?: unknown): StoreError {
  return new StoreError(
    'UNAVAILABLE',
    `${place} is damaged (${reason}); restore it from a backup, or move it away: services come back from the mesh file and instances register again`,
    cause,
  );
}

/** Any error of SQLite or the file system as a StoreError that names the file and the mend. */
export function translate(error: unknown, place: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, errcode, message } = error as { code?: string; errcode?: number; message: string };
  const primary = errcode === undefined ? undefined : errcode & 0xff;
  if (primary === SQLITE_BUSY) {
    return new StoreError(
      'UNAVAILABLE',
      `${place} is in use by another process; stop the other control plane, or choose another state directory`,
      error,
    );
  }
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB) return damaged(place, message, error);
  return new StoreError(
    'UNAVAILABLE',
    `${place} cannot be used (${code === undefined ? message : `${code}: ${message}`}); check that its directory exists, is writable and has space`,
    error,
  );
}
