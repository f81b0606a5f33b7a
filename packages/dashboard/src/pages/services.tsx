// All services of the mesh.
import { live } from '../browser/app.ts';
import { Empty, Page } from '../parts/basics.tsx';
import { ServicesCard } from './overview.tsx';

export function Services() {
  const isEmpty = live.services.complete.value && live.services.names.value.length === 0;
  return (
    <Page title="Services" about="What the mesh knows, whether it is well, and how much it is called.">
      {isEmpty ? (
        <Empty title="This mesh has no service yet">
          Add one to the mesh file; <code>heddle validate</code> checks it.
        </Empty>
      ) : (
        <ServicesCard />
      )}
    </Page>
  );
}
