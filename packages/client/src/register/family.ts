// The other processes and threads of an instance: a primary of a cluster, and the thread that began the process, have the instance for their workers.
import { subscribe } from 'node:diagnostics_channel';
import type { Cluster } from 'node:cluster';
import { isMainThread } from 'node:worker_threads';

const THREADS = 'heddle:instance';

function cluster(): Cluster {
  return process.getBuiltinModule('node:cluster') as unknown as Cluster;
}

/** Whether somebody else in the family has the instance. */
export function isWorker(): boolean {
  // Workers of a cluster have a channel to their primary. Without one the module is not worth its loading.
  return !isMainThread || (process.channel !== undefined && cluster().isWorker);
}

export interface FamilyNews {
  /** A worker of a cluster was started. */
  readonly onFork: () => void;
  /** A worker thread needs the mesh. */
  readonly onNeed: () => void;
  /** A worker thread listens on the instance's port. */
  readonly onServe: () => void;
}

export function watchFamily({ onFork, onNeed, onServe }: FamilyNews): void {
  // Neither is loaded where the application has no workers.
  subscribe('child_process', watchCluster);
  subscribe('worker_threads', watchThreads);
  let hasCluster = false;
  function watchCluster(): void {
    if (hasCluster) return;
    hasCluster = true;
    cluster().on('fork', onFork);
  }
  let hasThreads = false;
  function watchThreads(): void {
    if (hasThreads) return;
    hasThreads = true;
    const channel = new BroadcastChannel(THREADS);
    channel.onmessage = (event) => ((event as { readonly data: unknown }).data === 'serves' ? onServe() : onNeed());
    (channel as unknown as { unref(): void }).unref();
  }
}

/** From a worker thread to the one that began the process. A primary of a cluster needs not be asked. */
export function tellMainThread(news: 'needs' | 'serves'): void {
  if (isMainThread) return;
  const channel = new BroadcastChannel(THREADS);
  channel.postMessage(news);
  channel.close();
}
