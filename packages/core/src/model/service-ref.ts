// How a service is named wherever it is meant.

export interface ServiceRef {
  readonly namespace: string;
  readonly name: string;
}
