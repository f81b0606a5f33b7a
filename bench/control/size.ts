// How large the mesh is, and who is what in it.

export interface Size {
  readonly services: number;
  readonly instancesPerService: number;
  /** Connected: the one beside the first instance of each of the first services. */
  readonly dataPlanes: number;
  /** Services that each of them calls. */
  readonly calledByEach: number;
  readonly changesPerSecond: number;
}

export function serviceName(index: number): string {
  return `service-${index}`;
}

/** The data plane beside an instance; only those of first instances are connected. */
export function nodeName(service: number, instance: number): string {
  return `node-${service}-${instance}`;
}

/** Services whose instances change and which are called: those of the connected data planes, so that each has as many subscribers. */
export function calledServices(dataPlane: number, { dataPlanes, calledByEach }: Size): number[] {
  return Array.from({ length: calledByEach }, (_, index) => (dataPlane + 1 + index * 61) % dataPlanes);
}

export function instanceCount({ services, instancesPerService }: Size): number {
  return services * instancesPerService;
}

/** The mesh file. */
export function meshFile({ services }: Size): string {
  const lines = Array.from({ length: services }, (_, index) => `  ${serviceName(index)}: { port: 8080, protocol: http }`);
  return `mesh: bench\nservices:\n${lines.join('\n')}\n`;
}
