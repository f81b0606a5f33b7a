// An instance of four fails in each of the ways in which instances fail, under a steady load of GETs, and is healed again: callers leave it out
// within a few requests, see no error but those that cannot be taken back, and use it again. All faults at the same time, each with a service of
// its own, without a policy that anybody has set. `npm run soak -- faults` measures how long it takes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Cleanup } from '../support/planes.ts';
import { FAULTS } from './support/fault-list.ts';
import { FaultMesh } from './support/fault-mesh.ts';
import { type FaultReport, runFault } from './support/fault-run.ts';

/** How much it gets again is measured by the soak: beside other tests the quickest of four idle instances may have nearly all. */
const OPTIONS = { requestsPerSecond: 40, backShare: 0, deadlineMs: 60_000 };
/** A burst may go to the instance before the first answer shows what it is like: as many tries as it gets in two seconds of a busy machine. */
const TRIES_MAX = OPTIONS.requestsPerSecond / 2;

/** The only code that callers may see. All other faults cost them nothing: the requests were repeated elsewhere. */
const SEEN: Readonly<Record<string, string>> = {
  // Part of the answer has been passed on: nothing can be done.
  'reset-in-response': 'broken off',
  // Answers, of which the default policy repeats none.
  'error-500': '500',
  garbage: '502 UPSTREAM_PROTOCOL',
};

describe('a fault of one instance of four', () => {
  const cleanup = new Cleanup();
  const reports = new Map<string, Promise<FaultReport>>();
  before(async () => {
    const mesh = await FaultMesh.start(cleanup, FAULTS);
    for (const fault of FAULTS) {
      const report = runFault(mesh, fault, OPTIONS);
      report.catch(() => {});
      reports.set(fault.name, report);
    }
  });
  after(async () => {
    await Promise.allSettled(reports.values());
    await cleanup.run();
  });

  for (const { name, title } of FAULTS) {
    const seen = SEEN[name];
    it(`${title}: callers see ${seen === undefined ? 'nothing of it' : 'a few errors'}, and it comes back (${name})`, async () => {
      const { errors, tries } = (await reports.get(name))!;
      assert.deepEqual(
        Object.keys(errors).filter((code) => code !== seen),
        [],
      );
      const count = Object.values(errors).reduce((sum, each) => sum + each, 0);
      assert.ok(count <= TRIES_MAX && tries <= TRIES_MAX, `${count} errors after ${tries} tries`);
    });
  }
});
