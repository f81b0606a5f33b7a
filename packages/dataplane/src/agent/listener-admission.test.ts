// Only sockets of hosted workloads get listeners; the others wait.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Listener } from '@heddle/core';
import { ListenerAdmission } from './listener-admission.ts';

function listener(workload: string, port: number): Listener {
  return {
    name: `inbound/${workload}`,
    direction: 'inbound',
    address: '127.0.0.1',
    port,
    workload,
    filter: { kind: 'http', routeConfigName: `inbound/${workload}` },
  };
}

describe('admission of listeners', () => {
  const owned = new Map<string | undefined, number>();
  const admission = new ListenerAdmission((workload, { port }) => owned.get(workload) === port);

  it('keeps a listener aside whose workload is not hosted here, and takes it from the data path', () => {
    const decided = admission.admit({ kind: 'listener', upserts: [listener('a/b/c', 1)], removed: [] });
    assert.deepEqual(decided.update, { kind: 'listener', upserts: [], removed: ['inbound/a/b/c'] });
    admission.applied(decided);
    assert.deepEqual(admission.aside, ['inbound/a/b/c']);
    assert.equal(admission.due(), undefined);
  });

  it('offers it when the workload is hosted on that very port, and only then', () => {
    owned.set('a/b/c', 2);
    assert.equal(admission.due(), undefined);
    owned.set('a/b/c', 1);
    const due = admission.due();
    assert.deepEqual(due?.update.upserts, [listener('a/b/c', 1)]);
    if (due !== undefined) admission.applied(due);
    assert.deepEqual(admission.aside, []);
  });

  it('forgets what is removed', () => {
    admission.applied(admission.admit({ kind: 'listener', upserts: [listener('x/y/z', 9)], removed: [] }));
    admission.applied(admission.admit({ kind: 'listener', upserts: [], removed: ['inbound/x/y/z'] }));
    owned.set('x/y/z', 9);
    assert.equal(admission.due(), undefined);
  });
});
