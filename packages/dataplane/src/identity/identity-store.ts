// Where a workload's certificate and key outlive the process, if the operator gives a directory: one file per workload, replaced
// whole, readable by its owner only. What is damaged or foreign counts as absent; a token then helps.
import { dirname, join } from 'node:path';
import { isSpiffeId, readCertificate, type SpiffeId } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import {
  certificateDer,
  certificateMatchesKey,
  privateDirectory,
  readKeyPair,
  readTextFile,
  restrictToOwner,
  verifyLeaf,
  writeFileAtomic,
} from '@heddle/runtime/node';
import type { HeldIdentity } from './sign-call.ts';

/** Which workload on this machine. */
export interface WorkloadName {
  readonly namespace: string;
  readonly service: string;
  readonly instance: string;
}

export interface IdentityStore {
  /** Undefined when nothing usable is kept. What is given may have ended. Never rejects. */
  load(workload: WorkloadName, nowMs: number): Promise<HeldIdentity | undefined>;
  /** Rejects with the file system's error. */
  save(workload: WorkloadName, held: HeldIdentity): Promise<void>;
}

/** Nothing is kept: a restarted data plane needs new tokens. */
export const noIdentityStore: IdentityStore = {
  load: async () => undefined,
  save: async () => {},
};

const FORMAT = 1;

/** `directory` is created with mode 0700 when something is first saved. */
export function directoryIdentityStore(directory: string, logger: Logger): IdentityStore {
  return {
    async load(workload, nowMs) {
      let path = directory;
      try {
        path = pathOf(directory, workload);
        const text = await readTextFile(path);
        if (text === undefined) return undefined;
        if (await restrictToOwner(path))
          logger.warn({ path }, 'a private key could be read by other users of this machine; access has been taken from them');
        return readHeld(text, workload, nowMs);
      } catch (error) {
        logger.warn({ path, error: (error as Error).message }, 'the kept identity cannot be used; the workload needs a join token');
        return undefined;
      }
    },
    async save(workload, held) {
      const path = pathOf(directory, workload);
      await privateDirectory(dirname(path));
      const { certificatePem, keyPem, rootsPem, receivedMs } = held;
      await writeFileAtomic(path, `${JSON.stringify({ format: FORMAT, certificatePem, keyPem, rootsPem, receivedMs }, undefined, 2)}\n`);
    },
  };
}

function pathOf(directory: string, { namespace, service, instance }: WorkloadName): string {
  // The names become path segments: the same rule that keeps them safe in a SPIFFE id does so here.
  if (!isSpiffeId({ trustDomain: 'x', namespace, name: service }) || !isSpiffeId({ trustDomain: 'x', namespace, name: instance })) {
    throw new RangeError(`${JSON.stringify(`${namespace}/${service}/${instance}`)} is not the name of a workload`);
  }
  return join(directory, namespace, service, `${instance}.json`);
}

function readHeld(text: string, workload: WorkloadName, nowMs: number): HeldIdentity {
  const { format, certificatePem, keyPem, rootsPem, receivedMs } = JSON.parse(text) as Record<string, unknown>;
  if (format !== FORMAT) throw new Error(`it has format ${String(format)}, this Heddle reads ${FORMAT}`);
  if (typeof certificatePem !== 'string' || typeof keyPem !== 'string' || typeof rootsPem !== 'string' || typeof receivedMs !== 'number')
    throw new Error('it is not complete');
  return checkHeld({ certificatePem, keyPem, rootsPem, receivedMs }, workload, nowMs);
}

/**
 * Throws an Error that says, as "its …" or "it …", why what was kept cannot be used by the workload. A certificate that has ended can: the
 * control plane renews it for some days. Look at `notAfterMs`.
 */
export function checkHeld(
  kept: Pick<HeldIdentity, 'certificatePem' | 'keyPem' | 'rootsPem' | 'receivedMs'>,
  workload: Pick<WorkloadName, 'namespace' | 'service'>,
  nowMs: number,
): HeldIdentity {
  const { certificatePem, keyPem, rootsPem, receivedMs } = kept;
  const present = verifyLeaf({ leaf: certificatePem, rootsPem, nowMs });
  const endMs = present.ok || present.code !== 'expired' ? undefined : readCertificate(certificateDer(certificatePem)).notAfterMs;
  const verdict = endMs === undefined ? present : verifyLeaf({ leaf: certificatePem, rootsPem, nowMs: endMs });
  if (!verdict.ok) throw new Error(`its certificate ${verdict.reason}`);
  if (!certificateMatchesKey(certificatePem, readKeyPair(keyPem).spkiDer)) throw new Error('certificate and key do not belong together');
  const id: SpiffeId = verdict.id;
  if (id.namespace !== workload.namespace || id.name !== workload.service) throw new Error(`it is of ${verdict.uri}`);
  return { id, certificatePem, keyPem, rootsPem, notAfterMs: verdict.notAfterMs, receivedMs: Math.min(receivedMs, nowMs) };
}
