/** Begins `run` when called, unless the one before has not ended: what is asked every few seconds must not heap up where nobody answers. */
export function oneAtATime(run: () => Promise<void>): () => void {
  let isRunning = false;
  return () => {
    if (isRunning) return;
    isRunning = true;
    const ended = (): void => {
      isRunning = false;
    };
    run().then(ended, ended);
  };
}
