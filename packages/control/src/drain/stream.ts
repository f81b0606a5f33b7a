// What the drain barrier asks of a configuration stream.
import type { Confirmation } from '@heddle/api';
import type { ResourceKind } from '@heddle/core';

export interface DrainStream {
  /** Name of the data plane; empty until it has said it. */
  readonly node: string;
  readonly session: {
    /** Whether its data plane can have no version of the resource but those accepted. */
    confirms(kind: ResourceKind, name: string, accepts: (version: string) => boolean): Confirmation;
    /** It has acknowledged or refused something. */
    readonly hasAnswered: boolean;
    subscription(kind: ResourceKind): object | undefined;
  };
}

/** All that it asked for at its start has been read: what a data plane brings along from an earlier stream is known then. */
export function hasSpoken({ session }: Pick<DrainStream, 'session'>): boolean {
  return session.hasAnswered || session.subscription('endpoints') !== undefined;
}
