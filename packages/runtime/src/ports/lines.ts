// Lines of text that somebody else reads: standard output, or a file that others set aside from time to time.

export interface LineOutput {
  /** Whole lines, in one piece. Not to be called before the last call has been answered. */
  write(bytes: Buffer, done: (error: Error | undefined) => void): void;
  /** After what is under way. */
  close(): void;
}
