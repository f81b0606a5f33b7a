// Tables that become lists of small cards where the screen is narrow: each cell says of itself what it is.
import type { ComponentChildren } from 'preact';

export interface Column {
  readonly title: string;
  readonly numeric?: boolean;
}

export function Table({
  label,
  columns,
  children,
}: {
  readonly label: string;
  readonly columns: readonly Column[];
  readonly children: ComponentChildren;
}) {
  return (
    <div class="table-wrap">
      <table>
        <caption class="unseen">{label}</caption>
        <thead>
          <tr>
            {columns.map(({ title, numeric }) => (
              <th key={title} scope="col" class={numeric === true ? 'numeric' : undefined}>
                {title === '' ? <span class="unseen">Actions</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Cell({ title, numeric, wide, children }: Column & { readonly wide?: boolean; readonly children?: ComponentChildren }) {
  const kind = [numeric === true ? 'numeric' : '', wide === true ? 'wide' : ''].filter((part) => part !== '').join(' ');
  return (
    <td data-title={title} class={kind === '' ? undefined : kind}>
      {children}
    </td>
  );
}
