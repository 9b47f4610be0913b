/** Tables: rows as rows on a wide screen, as cards on a phone. */
import { type ReactNode, useState } from "react";
import { Button } from "./basics";

export interface Column<Row> {
  head: string;
  cell: (row: Row) => ReactNode;
  /** Numbers stand to the right. */
  isNumber?: boolean;
  /** Names and short words that are not broken into lines. */
  isTight?: boolean;
  /** What to sort by; without it the column cannot be sorted. */
  sortBy?: (row: Row) => string | number;
}

interface TableProps<Row> {
  /** Says what the table lists, for those who hear it. */
  label: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  empty?: ReactNode;
  /** Shown in place of all rows beyond the first `shown`. */
  shown?: number;
}

interface Order {
  head: string;
  isDown: boolean;
}

/** A table; roles are explicit because cards on a phone would lose them. */
export function Table<Row>({ label, columns, rows, rowKey, empty, shown = 200 }: TableProps<Row>) {
  const [order, setOrder] = useState<Order | null>(null);
  const [limit, setLimit] = useState(shown);
  if (rows.length === 0) return <>{empty ?? <p className="faint">None.</p>}</>;
  const ordered = sorted(rows, columns, order);
  return (
    <>
      <table className="table" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <Head key={column.head} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {ordered.slice(0, limit).map((row) => (
            <tr key={rowKey(row)} role="row">
              {columns.map((column) => (
                <td
                  key={column.head}
                  role="cell"
                  data-label={column.head}
                  className={column.isNumber ? "number" : column.isTight ? "tight" : ""}
                >
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {ordered.length > limit && (
        <p>
          <Button onClick={() => setLimit(limit + shown)}>
            Show more ({ordered.length - limit} left)
          </Button>
        </p>
      )}
    </>
  );
}

interface HeadProps<Row> {
  column: Column<Row>;
  order: Order | null;
  onOrder: (order: Order) => void;
}

function Head<Row>({ column, order, onOrder }: HeadProps<Row>) {
  const isBy = order?.head === column.head;
  const direction = isBy ? (order.isDown ? "descending" : "ascending") : "none";
  const name = column.isNumber ? "number" : "";
  if (!column.sortBy) {
    return (
      <th role="columnheader" scope="col" className={name}>
        {column.head}
      </th>
    );
  }
  return (
    <th role="columnheader" scope="col" className={name} aria-sort={direction}>
      <button
        type="button"
        className="sort"
        onClick={() => onOrder({ head: column.head, isDown: isBy ? !order.isDown : false })}
      >
        {column.head}
        <span aria-hidden>{isBy ? (order.isDown ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function sorted<Row>(
  rows: readonly Row[],
  columns: Column<Row>[],
  order: Order | null,
): readonly Row[] {
  const by = columns.find((column) => column.head === order?.head)?.sortBy;
  if (!by || !order) return rows;
  const sign = order.isDown ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)];
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  });
}
