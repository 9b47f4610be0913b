/** An invoice as files: links, because the server sends them to be saved. */
const FORMATS = ["pdf", "csv", "html"] as const;

export function Files({ id }: { id: string }) {
  return (
    <span className="actions">
      {FORMATS.map((format) => (
        <a
          key={format}
          href={`/gw/v1/invoices/${encodeURIComponent(id)}/file?file_format=${format}`}
          download={`${id}.${format}`}
          aria-label={`Download ${id} as ${format.toUpperCase()}`}
        >
          {format.toUpperCase()}
        </a>
      ))}
    </span>
  );
}
