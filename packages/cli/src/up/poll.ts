// Waiting for something outside this process that tells nobody when it is there.

const POLL_MS = 50;

/** Asks until the answer is neither undefined nor false; undefined when the time is over or it was aborted. The probe must not reject. */
export async function poll<T>(
  timeoutMs: number,
  aborted: AbortSignal,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T | undefined> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!aborted.aborted) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() >= deadlineMs) return undefined;
    await pause(POLL_MS, aborted);
  }
  return undefined;
}

/** Ends early when aborted. */
export function pause(ms: number, aborted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      aborted.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    aborted.addEventListener('abort', done);
    if (aborted.aborted) done();
  });
}
