// The statements of the embedded store and the rows they give, as the port's plain entries and events. No decisions here.
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { StoreEntry, StoreEvent } from '../store.ts';
import type { Batch } from './watch-hub.ts';

interface Meta {
  readonly revision: number;
  readonly compacted: number;
  readonly nextLease: number;
}

export class Records {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Commits when `run` returns, rolls back when it throws. */
  transaction<T>(run: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = run();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      // SQLite has already rolled back by itself after some errors (disk full).
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  meta(): Meta {
    const row = this.#sql('SELECT revision, compacted, next_lease FROM meta').get();
    return { revision: Number(row?.['revision']), compacted: Number(row?.['compacted']), nextLease: Number(row?.['next_lease']) };
  }

  writeMeta(meta: Meta): void {
    this.#sql('UPDATE meta SET revision = ?, compacted = ?, next_lease = ?').run(meta.revision, meta.compacted, meta.nextLease);
  }

  get(key: string): StoreEntry | undefined {
    const row = this.#sql('SELECT * FROM entries WHERE key = ?').get(key);
    return row === undefined ? undefined : entryOf(row);
  }

  list(prefix: string): StoreEntry[] {
    const entries: StoreEntry[] = [];
    // The first key without the prefix ends the range; no upper bound has to be computed.
    for (const row of this.#sql('SELECT * FROM entries WHERE key >= ? ORDER BY key').iterate(prefix)) {
      if (!String(row['key']).startsWith(prefix)) break;
      entries.push(entryOf(row));
    }
    return entries;
  }

  keysOfLease(lease: string): string[] {
    return this.#sql('SELECT key FROM entries WHERE lease = ? ORDER BY key')
      .all(lease)
      .map((row) => String(row['key']));
  }

  writeEntry(entry: StoreEntry): void {
    this.#sql('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)').run(
      entry.key,
      entry.value,
      entry.createRevision,
      entry.modRevision,
      entry.version,
      entry.lease ?? null,
    );
  }

  deleteEntry(key: string): void {
    this.#sql('DELETE FROM entries WHERE key = ?').run(key);
  }

  leases(): { id: string; ttlMs: number }[] {
    return this.#sql('SELECT id, ttl_ms FROM leases')
      .all()
      .map((row) => ({ id: String(row['id']), ttlMs: Number(row['ttl_ms']) }));
  }

  writeLease(id: string, ttlMs: number): void {
    this.#sql('INSERT INTO leases VALUES (?, ?)').run(id, ttlMs);
  }

  deleteLease(id: string): void {
    this.#sql('DELETE FROM leases WHERE id = ?').run(id);
  }

  appendHistory(batch: Batch): void {
    const insert = this.#sql('INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    batch.events.forEach((event, place) => {
      if (event.kind === 'put') {
        const { key, value, createRevision, version, lease } = event.entry;
        insert.run(batch.revision, place, key, value, createRevision, version, lease ?? null, 0);
      } else {
        insert.run(batch.revision, place, event.key, null, 0, 0, null, event.expired ? 1 : 0);
      }
    });
  }

  trimHistory(upToRevision: number): void {
    this.#sql('DELETE FROM history WHERE revision <= ?').run(upToRevision);
  }

  /** Read as it is asked for: the whole history has tens of MB. */
  *history(fromRevision: number): Generator<Batch> {
    let revision = 0;
    let events: StoreEvent[] = [];
    for (const row of this.#sql('SELECT * FROM history WHERE revision >= ? ORDER BY revision, place').iterate(fromRevision)) {
      const next = Number(row['revision']);
      if (next !== revision && events.length > 0) {
        yield { revision, events };
        events = [];
      }
      revision = next;
      events.push(eventOf(row));
    }
    if (events.length > 0) yield { revision, events };
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#database.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

type Row = Record<string, unknown>;

function entryOf(row: Row): StoreEntry {
  return {
    key: String(row['key']),
    value: String(row['value']),
    createRevision: Number(row['create_revision']),
    modRevision: Number(row['mod_revision'] ?? row['revision']),
    version: Number(row['version']),
    lease: row['lease'] === null ? undefined : String(row['lease']),
  };
}

function eventOf(row: Row): StoreEvent {
  if (row['value'] !== null) return { kind: 'put', entry: entryOf(row) };
  return { kind: 'delete', key: String(row['key']), revision: Number(row['revision']), expired: row['expired'] === 1 };
}
